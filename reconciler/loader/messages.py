"""What the validator found, said in the field's words, with the likely remedy.

Called by `parse` with the errors of jsonschema for one document. A place gets one message: the
wrong type hides what follows from it. Pure functions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from reconciler.errors.codes import ErrorCode
from reconciler.loader.document import Node
from reconciler.loader.findings import Finding, Path
from reconciler.loader.foreign import instead_of, instead_of_value, meant
from reconciler.loader.remedies import type_remedy
from reconciler.loader.schema import inline_references, load_schema

_TYPE_NAMES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}
_BOUNDS = {
    "minimum": "{value} is too small; the least is {limit}",
    "maximum": "{value} is too large; the most is {limit}",
    "minLength": "the text is empty",
    "maxLength": "{value} is too long; the most is {limit} characters",
    "minItems": "the list is empty; it needs at least one item",
    "maxItems": "the list is too long; the most is {limit} items",
}
# Of the kernel's names, which a spec leaves out.
_PREFIXES = ("", "cap_", "cap", "sig", "sched_flag_", "sched_", "mpol_f_", "mpol_", "ioprio_class_")
_FEW = 12  # so many choices are listed; more are not
# Of several errors at one place the first in this order is told.
_PRIORITY = ("type", "format", "enum", "required", "minLength", "minItems", "pattern")


def explain_errors(errors: Iterable[Any], root: Node) -> Iterator[Finding]:
    """Yield a finding for each `jsonschema.ValidationError` that a user needs to see."""
    best: dict[tuple[Path, bool], Any] = {}
    for error in errors:
        if error.validator in ("additionalProperties", "required"):
            yield from _explain_fields(error)
            continue
        is_key = "propertyNames" in error.absolute_schema_path
        path = (*error.absolute_path, error.instance) if is_key else tuple(error.absolute_path)
        known = best.get((path, is_key))
        if known is None or _rank(error) < _rank(known):
            best[path, is_key] = error
    for (path, is_key), error in best.items():
        code = ErrorCode.SpecSchema if error.validator in ("type", "enum") else ErrorCode.SpecValue
        if path == ("name",) and error.validator == "format":
            code = ErrorCode.InvalidIdFormat
        yield Finding(code, path, _explain(error, root.find(path)), is_key)


def _rank(error: Any) -> int:
    known = error.validator in _PRIORITY
    return _PRIORITY.index(error.validator) if known else len(_PRIORITY)


def _explain_fields(error: Any) -> Iterator[Finding]:
    """Yield one finding for each unknown field, or for the missing one."""
    path = tuple(error.absolute_path)
    properties = error.schema.get("properties", {})
    if error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance and f"{name!r} is a required" in error.message:
                yield Finding(ErrorCode.SpecSchema, (*path, name), _missing(name, properties))
        return
    for name in error.instance:
        if name not in properties:
            message = f"unknown field {_shown(name)}{_suggest_field(name, properties, path)}"
            yield Finding(ErrorCode.SpecSchema, (*path, name), message, is_key=True)


def _missing(name: str, properties: dict[str, Any]) -> str:
    choices = properties.get(name, {}).get("enum", ())
    hint = f" ({' or '.join(choices)})" if choices else ""
    return f"the field '{name}' is missing{hint}"


def _suggest_field(name: str, properties: dict[str, Any], path: Path) -> str:
    if remedy := instead_of(name, path):
        return f"; {remedy}"
    elsewhere = _places().get(name.lower(), ())
    is_elsewhere = len(elsewhere) == 1 and not path
    if is_elsewhere and name.lower() not in map(str.lower, properties):
        return f"; did you mean '{elsewhere[0]}'?"
    if close := _closest(name, properties):
        return f"; did you mean '{close}'?"
    return f" (known here: {', '.join(properties)})" if len(properties) <= _FEW else ""


@cache
def _places() -> dict[str, tuple[str, ...]]:
    """Return the paths of all nested fields by their name in lower case."""
    schema = load_schema()
    found: dict[str, tuple[str, ...]] = {}

    def walk(node: dict[str, Any], prefix: str) -> None:
        for name, child in node.get("properties", {}).items():
            if prefix:
                found[name.lower()] = (*found.get(name.lower(), ()), prefix + name)
            walk(child, f"{prefix}{name}.")

    walk(inline_references(schema, schema["$defs"]), "")
    return found


def _closest(text: str, choices: Iterable[str]) -> str | None:
    """Return the choice that `text` is probably meant to be."""
    by_fold = {choice.casefold(): choice for choice in choices}
    folded = text[:80].casefold()
    for form in (folded, folded.replace("_", "").replace("-", "")):
        for prefix in _PREFIXES:
            if form.startswith(prefix) and form.removeprefix(prefix) in by_fold:
                return by_fold[form.removeprefix(prefix)]
    from difflib import get_close_matches

    close = get_close_matches(folded, by_fold, n=1)
    return by_fold[close[0]] if close else None


def _explain(error: Any, node: Node) -> str:
    value, limit = error.instance, error.validator_value
    if error.validator == "type":
        return _explain_type(value, limit, node, error.schema)
    if error.validator == "enum":
        return _explain_enum(value, limit)
    if error.validator == "format":
        return str(error.cause)
    if error.validator == "minProperties":
        others = [name for name in error.schema["properties"] if name not in value]
        return f"needs at least one of {', '.join(others)}"
    if error.validator == "pattern" and limit.startswith("^/") and not value.startswith("/"):
        return f"{_shown(value)} must begin with '/'; write {_shown('/' + value)}"
    template = _BOUNDS.get(error.validator, "{value} does not have the right form ({about})")
    about = error.schema.get("description")
    return template.format(value=_shown(value), limit=limit, about=about)


def _explain_type(value: Any, expected: str | list[str], node: Node, schema: dict[str, Any]) -> str:
    names = [expected] if isinstance(expected, str) else expected
    wanted = " or ".join(_TYPE_NAMES[name] for name in names)
    if value is None:
        empty = ', write "" for an empty text,' if names == ["string"] else ""
        return f"expected {wanted}, got nothing; give it a value{empty} or remove the key"
    if isinstance(value, bool | int | float):
        kind = "" if isinstance(value, bool) else "the number "
        written = node.text or str(value)
        remedy = f"; put it in quotes: {json.dumps(written)}" if "string" in names else ""
        remedy = remedy or type_remedy(value, names, schema)
        return f"expected {wanted}, got {kind}{written}{remedy}"
    if isinstance(value, str):
        what = f"the text {_shown(value)}"
    else:
        what = "a mapping" if isinstance(value, dict) else "a list"
    return f"expected {wanted}, got {what}{type_remedy(value, names, schema)}"


def _explain_enum(value: Any, choices: list[str]) -> str:
    if remedy := instead_of_value(str(value), choices):
        return f"{_shown(value)} is not known here; {remedy}"
    close = meant(str(value), choices) or _closest(str(value), choices)
    hint = f"; did you mean '{close}'?" if close else ""
    if len(choices) == 1:
        return f"{_shown(value)} is not {choices[0]}; write that, or leave the field out"
    if len(choices) <= _FEW:
        return f"{_shown(value)} is not one of {', '.join(choices)}{hint}"
    return f"{_shown(value)} is not known{hint}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
