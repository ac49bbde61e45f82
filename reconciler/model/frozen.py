"""Frozen classes of values, as `@dataclass(frozen=True, slots=True, kw_only=True)` makes them.

Used by every layer above the errors. They exist as every command pays for the classes it loads:
`dataclasses` writes and compiles six functions a class and imports `inspect`, which was half of
the start-up time of `reconciler`. Here the one function that is worth compiling, `__init__`, is
made when a class has some objects; the others are the same for all classes.

>>> @frozen
... class Point:
...     x: int
...     y: int = 0
>>> replace(Point(x=1), y=2)
Point(x=1, y=2)
"""

from __future__ import annotations

from reconciler.lean import TYPE_CHECKING, Any, Callable, NamedTuple, NoReturn, TypeVar, attrgetter

if TYPE_CHECKING:
    from typing import dataclass_transform
else:

    def dataclass_transform(**_: object) -> Callable[[Any], Any]:
        """Do nothing: it is for type checkers."""
        return lambda function: function


T = TypeVar("T")
_set = object.__setattr__
_FEW = 20  # objects: to compile `__init__` takes as long as to make these without


class Missing:
    """The type of `MISSING`: a field without a default."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()


class Field(NamedTuple):
    """One field: its name, its default or `MISSING`, and what makes a default, or None."""

    name: str
    default: Any
    factory: Callable[[], Any] | None

    def is_required(self) -> bool:
        """Tell whether it has no default."""
        return self.default is MISSING and self.factory is None

    def make_default(self) -> Any:
        """Return the default, a new one where it is made; `MISSING` where there is none."""
        return self.default if self.factory is None else self.factory()


def field(*, default_factory: Callable[[], Any]) -> Any:
    """Declare a field whose default is made anew for each object."""
    return Field("", MISSING, default_factory)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Return the class with its annotated fields as slots, made by keyword, compared by value.

    A class may have one base of the same kind, whose fields come first.
    """
    inherited: tuple[Field, ...] = getattr(cls, "__frozen_fields__", ())
    namespace = dict(cls.__dict__)
    own = tuple(
        _own_field(name, namespace)
        for name, hint in cls.__annotations__.items()
        if not str(hint).startswith("ClassVar")
    )
    for name in ("__dict__", "__weakref__"):
        namespace.pop(name, None)
    names = {one.name for one in own}
    every = (*(one for one in inherited if one.name not in names), *own)
    known = {one.name for one in inherited}
    namespace |= {
        "__slots__": tuple(one.name for one in own if one.name not in known),
        "__frozen_fields__": every,
        "__frozen_values__": _values_getter(every),
        "__qualname__": cls.__qualname__,
        "__init__": _init_slowly,
        "__frozen_uses__": 0,
        "__eq__": _eq,
        "__hash__": _hash,
        "__repr__": _repr,
        "__setattr__": _refuse_set,
        "__delattr__": _refuse_delete,
        "__reduce__": _reduce,
    }
    made: Any = type(cls)
    remade: type[T] = made(cls.__name__, cls.__bases__, namespace)
    return remade


def fields(cls: Any) -> tuple[Field, ...]:
    """Return the fields of a frozen class or of an object of one."""
    found: tuple[Field, ...] = cls.__frozen_fields__
    return found


def is_frozen(value: Any) -> bool:
    """Tell whether it is a frozen class or an object of one."""
    return hasattr(value, "__frozen_fields__")


def replace(value: T, **changes: Any) -> T:
    """Return a copy with other values for some fields. Raises: TypeError for unknown fields."""
    cls: Any = type(value)
    for one in fields(cls):
        if one.name not in changes:
            changes[one.name] = getattr(value, one.name)
    copy: T = cls(**changes)
    return copy


def _own_field(name: str, namespace: dict[str, Any]) -> Field:
    default = namespace.pop(name, MISSING)
    if isinstance(default, Field):
        return default._replace(name=name)
    return Field(name, default, None)


def _values_getter(every: tuple[Field, ...]) -> staticmethod[[Any], Any]:
    """Return the function from an object to its values: equal ones for equal objects."""
    names = [one.name for one in every]
    return staticmethod(attrgetter(*names) if names else lambda _: ())


def _init_slowly(self: Any, /, **given: Any) -> None:
    """Set the fields one by one; a class of many objects gets a compiled `__init__`."""
    cls: Any = type(self)
    cls.__frozen_uses__ += 1
    left = dict(given)
    if cls.__frozen_uses__ <= _FEW:
        for one in fields(cls):
            value = left.pop(one.name) if one.name in left else one.make_default()
            _set(self, one.name, value)
            if value is MISSING:
                break
        else:
            if not left:
                return
    cls.__init__ = init = _make_init(cls.__qualname__, fields(cls))
    init(self, **given)  # which tells what is missing or unknown


def _make_init(qualname: str, every: tuple[Field, ...]) -> Any:
    """Return an `__init__` with the fields as keyword parameters (compiled: half the time)."""
    scope: dict[str, Any] = {"_set": _set, "MISSING": MISSING}
    parameters, lines = [], []
    for one in every:
        name = one.name
        scope[f"_{name}"] = one.factory or one.default
        parameters.append(name if one.is_required() else f"{name}={_default_name(one)}")
        value = f"_{name}() if {name} is MISSING else {name}" if one.factory else name
        lines.append(f" _set(self, '{name}', {value})")
    keywords = f", *, {', '.join(parameters)}" if parameters else ""
    exec(f"def __init__(self{keywords}):\n" + ("\n".join(lines) or " pass"), scope)  # noqa: S102
    init = scope["__init__"]
    init.__qualname__ = f"{qualname}.__init__"
    return init


def _default_name(one: Field) -> str:
    return "MISSING" if one.factory is not None else f"_{one.name}"


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self.__frozen_values__(self) == self.__frozen_values__(other)


def _hash(self: Any) -> int:
    return hash(self.__frozen_values__(self))


def _repr(self: Any) -> str:
    pairs = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self))
    return f"{type(self).__qualname__}({', '.join(pairs)})"


def _refuse_set(self: Any, name: str, value: object) -> NoReturn:
    raise AttributeError(f"cannot assign to field {name!r}: {type(self).__name__} is frozen")


def _refuse_delete(self: Any, name: str) -> NoReturn:
    raise AttributeError(f"cannot delete field {name!r}: {type(self).__name__} is frozen")


def _reduce(self: Any) -> Any:
    return _remake, (type(self), {one.name: getattr(self, one.name) for one in fields(self)})


def _remake(cls: Any, values: dict[str, Any]) -> Any:
    return cls(**values)
