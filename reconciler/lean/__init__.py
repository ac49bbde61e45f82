"""Stand-ins for parts of the standard library that a command of 20 ms cannot afford.

`typing`, `enum`, `contextlib`, `functools`, `re` and what they import cost 6 ms to load, a named
tuple or an enum 0.1 ms a class, and every page that they touch is copied again in each child.
What is here does what this project uses of them. For type checkers they are the originals.
Taken by every layer that the OCI command line or the monitor loads.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    import re
    import signal as signal
    from collections.abc import Callable as Callable
    from collections.abc import Collection as Collection
    from collections.abc import Generator as Generator
    from collections.abc import Iterable as Iterable
    from collections.abc import Iterator as Iterator
    from collections.abc import Mapping as Mapping
    from collections.abc import Sequence as Sequence
    from contextlib import ExitStack as ExitStack
    from contextlib import contextmanager as contextmanager
    from contextlib import suppress as suppress
    from enum import Enum as Enum
    from enum import IntEnum as IntEnum
    from enum import IntFlag as IntFlag
    from enum import StrEnum as StrEnum
    from functools import cache as cache
    from functools import cached_property as cached_property
    from functools import lru_cache as lru_cache
    from functools import partial as partial
    from operator import attrgetter as attrgetter
    from re import ASCII as ASCII
    from typing import Any as Any
    from typing import BinaryIO as BinaryIO
    from typing import NamedTuple as NamedTuple
    from typing import NoReturn as NoReturn
    from typing import Protocol as Protocol
    from typing import Self as Self
    from typing import TypeVar as TypeVar
    from typing import cast as cast

    pattern = re.compile
else:
    import _signal as signal  # noqa: F401 - the same functions, and plain numbers for constants
    from _collections import _tuplegetter
    from _collections_abc import (  # noqa: F401
        Callable,
        Collection,
        Generator,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from _functools import _lru_cache_wrapper, partial  # noqa: F401
    from _operator import attrgetter  # noqa: F401

    def cast(kind, value):
        """Return the value."""
        return value

    Any = BinaryIO = NoReturn = Protocol = Self = object  # for annotations, which nobody evaluates

    def TypeVar(name):
        """Return what stands for a type in annotations."""
        return object

    # --- typing.NamedTuple

    class _NamedTupleType(type):
        def __new__(cls, name, bases, namespace):
            if bases == (tuple,):  # NamedTuple itself
                return super().__new__(cls, name, bases, namespace)
            fields = tuple(namespace.get("__annotations__", ()))
            defaults = {key: namespace[key] for key in fields if key in namespace}
            if fields:
                namespace["_fields"] = namespace["__match_args__"] = fields
                namespace["_field_defaults"] = defaults
                for index, key in enumerate(fields):
                    namespace[key] = _tuplegetter(index, None)
            namespace["__slots__"] = ()
            return super().__new__(cls, name, bases, namespace)

    class NamedTuple(tuple, metaclass=_NamedTupleType):
        """As typing.NamedTuple."""

        __slots__ = ()
        _fields = __match_args__ = ()
        _field_defaults = {}

        def __new__(cls, *values, **named):
            if named or len(values) != len(cls._fields):
                values = _complete(cls, values, named)
            return tuple.__new__(cls, values)

        def _replace(self, **changes):
            return type(self)(**(self._asdict() | changes))

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            pairs = (f"{key}={value!r}" for key, value in self._asdict().items())
            return f"{type(self).__name__}({', '.join(pairs)})"

    def _complete(cls, values, named):
        """Return the value of every field. Raises: TypeError for too few, many or unknown ones."""
        fields = cls._fields
        given = cls._field_defaults | dict(zip(fields, values, strict=False))
        twice = named.keys() & fields[: len(values)]
        given |= named
        if len(values) > len(fields) or twice or given.keys() != set(fields):
            raise TypeError(f"{cls.__name__} takes {fields}, not {values} and {named}")
        return [given[key] for key in fields]

    # --- enum

    class _EnumType(type):
        def __new__(cls, name, bases, namespace):
            kinds = (int, str)
            values = {
                key: value
                for key, value in namespace.items()
                if isinstance(value, kinds) and not key.startswith("_")
            }
            for key in values:
                del namespace[key]
            made = super().__new__(cls, name, bases, namespace)
            made._members = {}
            made._by_value = {}
            for key, value in values.items():
                member = made._by_value.get(value)
                if member is None:
                    member = made._make(value)
                    member.name = member._name_ = key
                    member.value = member._value_ = value
                    made._by_value[value] = member
                made._members[key] = member
                type.__setattr__(made, key, member)
            return made

        def __call__(cls, value):
            try:
                return cls._by_value[value]
            except (KeyError, TypeError):
                return cls._missing(value)

        def __getitem__(cls, name):
            return cls._members[name]

        def __iter__(cls):
            return iter(cls._by_value.values())

        def __len__(cls):
            return len(cls._by_value)

        def __contains__(cls, value):
            return isinstance(value, cls) or value in cls._by_value

        @property
        def __members__(cls):
            return dict(cls._members)

        def __setattr__(cls, name, value):
            if name in cls.__dict__.get("_members", ()):
                raise AttributeError(f"cannot reassign member {name!r}")
            type.__setattr__(cls, name, value)

    class Enum(metaclass=_EnumType):
        """As enum.Enum, for members that are numbers or texts."""

        @classmethod
        def _make(cls, value):
            bases = (base for base in (int, str) if issubclass(cls, base))
            base = next(bases, None)
            return object.__new__(cls) if base is None else base.__new__(cls, value)

        @classmethod
        def _missing(cls, value):
            raise ValueError(f"{value!r} is not a valid {cls.__qualname__}")

        def __repr__(self):
            return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

        def __reduce_ex__(self, _):
            return type(self), (self.value,)

        def __hash__(self):
            return hash(self.value)

        def __deepcopy__(self, _):
            return self

        def __copy__(self):
            return self

    class IntEnum(int, Enum):
        """As enum.IntEnum."""

        __repr__ = Enum.__repr__
        __str__ = int.__repr__
        __format__ = int.__format__

    class StrEnum(str, Enum):
        """As enum.StrEnum."""

        __repr__ = Enum.__repr__
        __str__ = str.__str__
        __format__ = str.__format__

    class IntFlag(int, Enum):
        """As enum.IntFlag, but that flags joined are a plain number."""

        @classmethod
        def _missing(cls, value):
            return int(value)

        __repr__ = Enum.__repr__
        __str__ = int.__repr__
        __format__ = int.__format__

    # --- contextlib

    class suppress:
        """As contextlib.suppress."""

        def __init__(self, *kinds):
            self._kinds = kinds

        def __enter__(self):
            return None

        def __exit__(self, kind, error, _):
            return kind is not None and issubclass(kind, self._kinds)

    class _Context:
        def __init__(self, generator):
            self._generator = generator

        def __enter__(self):
            return next(self._generator)

        def __exit__(self, kind, error, traceback):
            if kind is None:
                for _ in self._generator:
                    raise RuntimeError("generator didn't stop")
                return False
            try:
                self._generator.throw(error)
            except StopIteration as stop:
                return stop is not error
            except BaseException as raised:
                is_wrapped = isinstance(error, StopIteration) and raised.__cause__ is error
                if raised is not error and not is_wrapped:
                    raise
                error.__traceback__ = traceback
                return False
            raise RuntimeError("generator didn't stop after throw()")

    def contextmanager(function):
        """As contextlib.contextmanager, for `with` alone."""

        def call(*args, **named):
            return _Context(function(*args, **named))

        call.__name__, call.__doc__ = function.__name__, function.__doc__
        call.__wrapped__ = function
        return call

    class ExitStack:
        """As contextlib.ExitStack, but that what is entered hears of no exception."""

        def __init__(self):
            self._undo = []

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.close()

        def enter_context(self, context):
            entered = context.__enter__()
            self.callback(context.__exit__, None, None, None)
            return entered

        def callback(self, function, *args):
            self._undo.append((function, args))

        def close(self):
            while self._undo:
                function, args = self._undo.pop()
                try:
                    function(*args)
                finally:
                    self.close()

    # --- functools

    def cache(function):
        """As functools.cache."""
        return _lru_cache_wrapper(function, None, False, tuple)

    def lru_cache(maxsize, typed=False):
        """As functools.lru_cache."""
        return lambda function: _lru_cache_wrapper(function, maxsize, typed, tuple)

    class cached_property:
        """As functools.cached_property."""

        def __init__(self, function):
            self._function = function
            self.__doc__ = function.__doc__

        def __set_name__(self, owner, name):
            self._name = name

        def __get__(self, instance, owner=None):
            if instance is None:
                return self
            value = instance.__dict__[self._name] = self._function(instance)
            return value

    # --- re

    ASCII = 256

    class pattern:
        """As re.compile, at the first use."""

        def __init__(self, text, flags=0):
            self._of = text, flags

        def __getattr__(self, name):
            import re

            method = getattr(re.compile(*self._of), name)
            setattr(self, name, method)
            return method
