"""The JSON Schema of specs: where it is, and the validator made from it.

Called by `parse` and by the command line (`schema`). `jsonschema` is imported on the first
validation only: a pass over unchanged files needs neither it nor the schema.
"""

from __future__ import annotations

import os.path
from functools import cache
from itertools import islice
from typing import Any

_PACKAGE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
_FILE = "schemas/container.schema.json"
_MAX_ERRORS = 1000
_MAX_KNOWN = 5000
_MAX_KNOWN_LENGTH = 500


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
    """Return the `Draft202012Validator` of the schema, references resolved beforehand.

    References are put in place here since looking each one up costs the validator a third of
    its time; the schema has no cycles.
    """
    from jsonschema import Draft202012Validator

    from reconciler.loader.formats import make_format_checker

    schema = load_schema()
    inlined = inline_references(schema, schema["$defs"])
    inlined.pop("$defs")
    return Draft202012Validator(inlined, format_checker=make_format_checker())


def find_errors(data: Any) -> list[Any]:
    """Return the `jsonschema.ValidationError`s of a document, at most 1,000.

    The fields of a document are independent of each other (a test says so), and many specs
    share most of them: a field whose very value has been found valid is not validated again.
    """
    validator, known = make_validator(), _known_fields()
    fields: set[tuple[str, str]] = set()
    if isinstance(data, dict):
        fields = {(key, repr(value)) for key, value in data.items() if key != "command"}
        data = {key: data[key] for key in data if (key, repr(data[key])) not in known}
    errors = list(islice(validator.iter_errors(data), _MAX_ERRORS))
    if not errors and fields:
        if len(known) > _MAX_KNOWN:
            known.clear()
        known.update(field for field in fields if len(field[1]) <= _MAX_KNOWN_LENGTH)
    return errors


@cache
def _known_fields() -> set[tuple[str, str]]:
    """Return the fields found valid by this process: name and value (`repr`)."""
    return set()


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
