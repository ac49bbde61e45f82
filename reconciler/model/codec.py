"""Frozen classes to JSON-ready dicts and back, by their type hints.

Serves records, the load cache and JSON output. Missing
fields take their defaults. One decoder is made per class and kept.
"""

from __future__ import annotations

from reconciler.lean import TYPE_CHECKING, Any, Callable, TypeVar, cache
from reconciler.model.frozen import fields, is_frozen

if TYPE_CHECKING:
    from reconciler.model.spec import Spec

T = TypeVar("T")
_PLAIN = frozenset({str, int, float, bool})


def to_dict(value: Any) -> Any:
    """Return dicts, lists, strings and numbers for a frozen class (nested ones too)."""
    if value is None or type(value) in _PLAIN:
        return value
    if is_frozen(value):
        cls: Any = type(value)
        return {name: to_dict(getattr(value, name)) for name in _field_names(cls)}
    if isinstance(value, (list, tuple)):
        return [to_dict(item) for item in value]
    if isinstance(value, dict):
        return {key: to_dict(item) for key, item in value.items()}
    if isinstance(value, (str, int)):  # an enum's member
        return str(value) if isinstance(value, str) else int(value)
    return value


def to_compact(value: Any) -> Any:
    """Return what `to_dict` does without the fields that have their default value.

    `from_dict` gives the same value back. It is small, and does not change when a version of
    this program adds a field with a default.
    """
    if value is None or type(value) in _PLAIN:
        return value
    if is_frozen(value):
        cls: Any = type(value)
        compact = {}
        for name, default in _field_defaults(cls):
            item = getattr(value, name)
            if item is not default and item != default:
                compact[name] = to_compact(item)
        return compact
    if isinstance(value, (list, tuple)):
        return [to_compact(item) for item in value]
    return to_dict(value)


def digest(data: Any) -> str:
    """Return 32 hex digits of the SHA-256 of JSON data, the order of keys aside."""
    import hashlib
    import json

    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def spec_digest(spec: Spec) -> str:
    """Return the digest of a Spec: over everything but its origin and its digest.

    It is over the fields that differ from their defaults, so that a new version with new fields
    sees no change in containers that do not use them.
    """
    compact = to_compact(spec)
    del compact["origin"]
    compact.pop("digest", None)
    return digest(compact)


def from_dict(cls: type[T], data: Any) -> T:
    """Return the object that `to_dict` made `data` from; missing fields take defaults.

    Raises: TypeError or ValueError when the data does not fit the class.
    """
    hint: Any = cls
    made: T = _decoder(hint)(data)
    return made


@cache
def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(item.name for item in fields(cls))


@cache
def _field_defaults(cls: type) -> tuple[tuple[str, Any], ...]:
    """Return each field with its default value, MISSING where it has none."""
    return tuple((item.name, item.make_default()) for item in fields(cls))


@cache
def _decoder(hint: Any) -> Callable[[Any], Any]:
    """Return the function that turns JSON data into a value of type `hint`."""
    import types
    import typing

    if is_frozen(hint):
        return _class_decoder(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _optional_decoder(args)
    if origin is tuple:
        inner = _decoder(args[0])  # of a fixed tuple all items are of one type
        return lambda data: tuple(map(inner, data))
    if isinstance(hint, type) and issubclass(hint, (str, int)) and hint not in _PLAIN:
        return hint  # an enum
    if origin is dict and args[1] not in _PLAIN:
        value = _decoder(args[1])
        return lambda data: {key: value(item) for key, item in data.items()}
    return lambda data: data


def _optional_decoder(args: tuple[Any, ...]) -> Callable[[Any], Any]:
    inner = _decoder(next(arg for arg in args if arg is not type(None)))
    return lambda data: None if data is None else inner(data)


def _class_decoder(cls: type) -> Callable[[Any], Any]:
    from typing import get_type_hints

    hints = get_type_hints(cls)
    decoders = {item.name: _decoder(hints[item.name]) for item in fields(cls)}
    required = {item.name for item in fields(cls) if item.is_required()}

    def decode(data: Any) -> Any:
        if not isinstance(data, dict) or not required <= data.keys() <= decoders.keys():
            raise ValueError(f"not a {cls.__name__}: {data!r:.200}")
        return cls(**{name: decoders[name](item) for name, item in data.items()})

    return decode
