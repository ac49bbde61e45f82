"""The schema of specs as plain functions, which tell whether a document is valid for certain.

Called by `schema`, with the references put in place. It takes a tenth of the validator's time
and has no words: of what is not accepted here, `jsonschema` decides and tells. A keyword or a
type that is not known here is never accepted: slow, but never wrong.
Source: JSON Schema 2020-12, core section 10, validation section 6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Accept = Callable[[Any], bool]
Formats = Mapping[str, Accept]
"""Checks by name: they return True, or raise ValueError."""

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}
_DESCRIBING = {"$schema", "$id", "title", "description", "default", "examples"}
_SILENT = _DESCRIBING | {"type", "additionalProperties"}  # the latter is part of `properties`


def make_accept(schema: Any, formats: Formats) -> Accept:
    """Return the function that accepts what is valid by `schema`, and nothing else."""
    if isinstance(schema, bool):
        return lambda value: schema
    if "additionalProperties" in schema:
        schema = {"properties": {}} | schema
    given = schema.get("type", list(_TYPES))
    names = [given] if isinstance(given, str) else given
    kinds = {kind for name in names for kind in _TYPES.get(name, ())}
    tests = {kind: _make_tests(schema, kind, formats) for kind in kinds}

    def accept(value: Any) -> bool:
        for test in tests.get(type(value), _NEVER):  # noqa: SIM110 (a generator is slower)
            if not test(value):
                return False
        return True

    return accept


def _make_tests(schema: dict[str, Any], kind: type, formats: Formats) -> tuple[Accept, ...]:
    """Return what a value of one type must pass."""
    tests: list[Accept] = []
    for keyword, operand in schema.items():
        if keyword in _SILENT:
            continue
        if keyword not in _KEYWORDS:
            return _NEVER
        kinds, make = _KEYWORDS[keyword]
        if kind in kinds:
            tests.append(make(operand, schema, formats))
    return tuple(tests)


def _refuse(value: Any) -> bool:
    return False


_NEVER = (_refuse,)


def _format(operand: str, schema: Any, formats: Formats) -> Accept:
    check = formats.get(operand, _refuse)

    def accept(value: Any) -> bool:
        try:
            return check(value)
        except ValueError:
            return False

    return accept


def _enum(operand: list[Any], schema: Any, formats: Formats) -> Accept:
    texts = frozenset(item for item in operand if isinstance(item, str))
    return lambda value: type(value) is str and value in texts


def _pattern(operand: str, schema: Any, formats: Formats) -> Accept:
    search = re.compile(operand).search
    return lambda value: search(value) is not None


def _properties(operand: dict[str, Any], schema: Any, formats: Formats) -> Accept:
    accepts = {name: make_accept(child, formats) for name, child in operand.items()}
    other = make_accept(schema.get("additionalProperties", True), formats)

    def accept(value: dict[str, Any]) -> bool:
        for name, item in value.items():  # noqa: SIM110 (a generator is slower)
            if not accepts.get(name, other)(item):
                return False
        return True

    return accept


def _property_names(operand: Any, schema: Any, formats: Formats) -> Accept:
    accept = make_accept(operand, formats)
    return lambda value: all(map(accept, value))


def _required(operand: list[str], schema: Any, formats: Formats) -> Accept:
    return lambda value: all(name in value for name in operand)


def _items(operand: Any, schema: Any, formats: Formats) -> Accept:
    accept, start = make_accept(operand, formats), len(schema.get("prefixItems", ()))
    return lambda value: all(map(accept, value[start:]))


def _prefix_items(operand: list[Any], schema: Any, formats: Formats) -> Accept:
    accepts = [make_accept(child, formats) for child in operand]
    return lambda value: all(test(item) for test, item in zip(accepts, value, strict=False))


def _at_least(operand: float, schema: Any, formats: Formats) -> Accept:
    return lambda value: bool(value >= operand)


def _at_most(operand: float, schema: Any, formats: Formats) -> Accept:
    return lambda value: bool(value <= operand)


def _no_shorter(operand: int, schema: Any, formats: Formats) -> Accept:
    return lambda value: len(value) >= operand


def _no_longer(operand: int, schema: Any, formats: Formats) -> Accept:
    return lambda value: len(value) <= operand


_Make = Callable[[Any, Any, Formats], Accept]
_NUMBER, _ALL = (int, float), (str, int, float, bool, dict, list)

# Keyword: the types that it is about, and what makes its test.
_KEYWORDS: dict[str, tuple[tuple[type, ...], _Make]] = {
    "enum": (_ALL, _enum),
    "format": (_ALL, _format),
    "pattern": ((str,), _pattern),
    "minLength": ((str,), _no_shorter),
    "maxLength": ((str,), _no_longer),
    "minimum": (_NUMBER, _at_least),
    "maximum": (_NUMBER, _at_most),
    "properties": ((dict,), _properties),
    "propertyNames": ((dict,), _property_names),
    "required": ((dict,), _required),
    "minProperties": ((dict,), _no_shorter),
    "maxProperties": ((dict,), _no_longer),
    "items": ((list,), _items),
    "prefixItems": ((list,), _prefix_items),
    "minItems": ((list,), _no_shorter),
    "maxItems": ((list,), _no_longer),
}
