"""The quick yes: never to what the validator refuses, and to whatever it accepts in our schema."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.loader import load_schema
from reconciler.loader.accept import _KEYWORDS, _SILENT, _TYPES, make_accept
from reconciler.loader.document import read_documents
from reconciler.loader.formats import format_checks
from reconciler.loader.schema import find_errors, inline_references, make_validator
from tests.unit.loader.samples import FULL

FULL_DATA: dict[str, Any] = next(iter(read_documents(FULL))).data
SCHEMA = inline_references(load_schema(), load_schema()["$defs"])
SCHEMA.pop("$defs")
ACCEPT = make_accept(SCHEMA, format_checks())

SCALARS = [
    *(None, True, False, 0, 1, -1, 1.5, 2**63, "", "a", "/", "/a", "..", "10s", "5X", "64Mi"),
    *("a\0b", "unlimited", "none", "TERM", "always", "running", "0-3", "x" * 70, "ready", "é"),
]
VALUES = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "port", "max", "type", "path", ""]), inner)
    ),
    max_leaves=4,
)


def paths(data: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of all values in a document."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    found = [path]
    for step, item in items:
        inner = isinstance(item, dict | list)
        found += paths(item, (*path, step)) if inner else [(*path, step)]
    return found


def put(data: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Return a copy with another value at the path."""
    if not path:
        return value
    copy = data.copy()
    copy[path[0]] = put(data[path[0]], path[1:], value)
    return copy


def is_valid(data: Any) -> bool:
    return next(make_validator().iter_errors(data), None) is None


@given(st.sampled_from(paths(FULL_DATA)), VALUES)
@example(("resources", "cpu", "weight"), True)
@example(("labels",), {"a": 1})
@example(("command",), ["", "a"])
@example(("command",), [])
@example(("no",), 1)
def test_it_says_what_the_validator_says_of_a_document_with_any_value_anywhere(
    path: tuple[str | int, ...], value: Any
) -> None:
    data = FULL_DATA | {"no": value} if path == ("no",) else put(FULL_DATA, path, value)
    assert ACCEPT(data) == is_valid(data)
    assert (find_errors(data) == []) == is_valid(data)


@given(VALUES)
def test_it_says_what_the_validator_says_of_any_value(value: Any) -> None:
    assert ACCEPT(value) == is_valid(value)


def test_each_field_left_out_is_judged_as_the_validator_does() -> None:
    for path in paths(FULL_DATA)[1:]:
        if isinstance(path[-1], str):
            parent = FULL_DATA
            for step in path[:-1]:
                parent = parent[step]  # type: ignore[index]
            data = put(FULL_DATA, path[:-1], {k: v for k, v in parent.items() if k != path[-1]})
            assert ACCEPT(data) == is_valid(data)


def schemas(schema: Any) -> list[dict[str, Any]]:
    """Return a schema and those in it."""
    if isinstance(schema, bool):
        return []
    found = [schema]
    for keyword in ("items", "additionalProperties", "propertyNames"):
        found += schemas(schema.get(keyword, True))
    for child in (*schema.get("properties", {}).values(), *schema.get("prefixItems", ())):
        found += schemas(child)
    return found


def test_every_keyword_and_type_of_the_schema_is_known_so_that_it_is_quick() -> None:
    for schema in schemas(SCHEMA):
        assert schema.keys() <= _KEYWORDS.keys() | _SILENT
        kinds = schema.get("type", [])
        assert ({kinds} if isinstance(kinds, str) else set(kinds)) <= _TYPES.keys()


@pytest.mark.parametrize(
    "schema",
    [{"oneOf": [{}]}, {"type": "null"}, {"enum": [1]}, {"format": "unheard-of"}, {"$ref": "#/x"}],
    ids=str,
)
def test_what_it_does_not_know_it_does_not_accept(schema: dict[str, Any]) -> None:
    values: list[Any] = [None, 1, "a", [], {}]
    for value in values:
        assert not make_accept(schema, {})(value)


def test_a_number_that_is_whole_but_a_float_is_left_to_the_validator() -> None:
    assert not make_accept({"type": "integer"}, {})(1.0)
