"""The JSON Schema of specs: where it is, and the validator made from it.

Called by `parse` and by the command line (`schema`). `jsonschema` is imported for the first
document that is not valid: to find its mistakes takes ten times as long as to find none.
"""

from __future__ import annotations

import os.path
from functools import cache
from itertools import islice
from typing import Any

from reconciler.loader.accept import Accept, make_accept

_PACKAGE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
_FILE = "schemas/container.schema.json"
_MAX_ERRORS = 1000


def read_schema_text() -> str:
    """Return the text of the schema file, from the wheel's package data or the source tree.

    Raises: OSError when the installation is broken.
    """
    packaged = os.path.join(_PACKAGE, _FILE)
    in_tree = os.path.join(os.path.dirname(_PACKAGE), _FILE)
    with open(packaged if os.path.exists(packaged) else in_tree, encoding="utf-8") as stream:
        return stream.read()


@cache
def load_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a container's spec; do not change it.

    Raises: OSError when the installation is broken.
    """
    import json

    schema: dict[str, Any] = json.loads(read_schema_text())
    return schema


@cache
def make_validator() -> Any:
    """Return the `Draft202012Validator` of the schema, references put in place."""
    from jsonschema import Draft202012Validator

    from reconciler.loader.formats import make_format_checker

    return Draft202012Validator(_inlined_schema(), format_checker=make_format_checker())


def find_errors(data: Any) -> list[Any]:
    """Return the `jsonschema.ValidationError`s of a document, at most 1,000."""
    if _make_accept()(data):
        return []
    return list(islice(make_validator().iter_errors(data), _MAX_ERRORS))


@cache
def _make_accept() -> Accept:
    from reconciler.loader.formats import format_checks

    return make_accept(_inlined_schema(), format_checks())


@cache
def _inlined_schema() -> dict[str, Any]:
    """Return the schema without references: looking each up is slow. It has no cycles."""
    schema = load_schema()
    inlined: dict[str, Any] = inline_references(schema, schema["$defs"])
    inlined.pop("$defs")
    return inlined


def inline_references(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return `schema` with each `$ref` replaced by what it refers to; siblings win."""
    if isinstance(schema, list):
        return [inline_references(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: inline_references(item, definitions) for key, item in schema.items()}
    if isinstance(reference := result.pop("$ref", None), str):
        target = definitions[reference.removeprefix("#/$defs/")]
        return inline_references(target, definitions) | result
    return result
