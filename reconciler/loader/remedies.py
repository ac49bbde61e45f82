"""What to write instead of a value of the wrong type, as far as the schema and the value tell.

Called by `messages`. A remedy begins with "; ", or is empty. Pure functions.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from reconciler.loader.foreign import meant

_BOOLEAN_WORDS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false"}
_BOOLEAN_WORDS |= {"n": "false", "1": "true", "0": "false"}
_PLAIN = re.compile(r"[A-Za-z0-9./_-][A-Za-z0-9./_ %+-]*", re.ASCII)
_URL = re.compile(r"https?://[^/:]+(?::([0-9]{1,5}))?(/[!-z|~]*)?", re.ASCII)
_MOUNT = re.compile(r"([./][^:]*):(/[^:]*)(?::([a-z,]+))?", re.ASCII)
_WRITE = "; write "
_LONGEST = 80  # what is longer is not written out
_UNIT_FILE = (["Unit"], ["Service"], ["Container"], ["Install"], ["Pod"])


def type_remedy(value: Any, names: list[str], schema: dict[str, Any]) -> str:
    """Return what to write for a text, list or mapping where `names` (JSON types) are wanted."""
    if isinstance(value, dict):
        return _for_mapping(value, schema) or _example(schema)
    if names == ["array"] and "properties" in schema.get("items", {}):
        inner = type_remedy(value, ["object"], schema["items"])
        return f"; write [{inner.removeprefix(_WRITE)}]" if inner.startswith(_WRITE) else ""
    if "object" not in names:
        return _for_text(value, names) if isinstance(value, str) else ""
    if isinstance(value, list):
        return _for_list(value, schema) or _example(schema)
    if isinstance(value, str) and "boolean" in names and value.lower() in _BOOLEAN_WORDS:
        return f"; write {_BOOLEAN_WORDS[value.lower()]}"
    return _for_scalar(value, schema) or _example(schema)


def _for_text(value: str, names: list[str]) -> str:
    if names == ["boolean"] and value.lower() in _BOOLEAN_WORDS:
        return f"; write {_BOOLEAN_WORDS[value.lower()]}"
    if names == ["array"] and len(value) <= _LONGEST and value.isprintable():
        try:
            return f"; write {json.dumps(shlex.split(value) or [value], ensure_ascii=False)}"
        except ValueError:
            return ""
    if names in (["integer"], ["number"]) and value.isdecimal():
        return "; remove the quotes"
    return ""


def _for_scalar(value: Any, schema: dict[str, Any]) -> str:
    """Return the mapping to write for one value: the field of it that takes the value."""
    if isinstance(value, bool) or len(str(value)) > _LONGEST or not str(value).isprintable():
        return ""
    if "command" in schema.get("properties", {}):  # a hook, or the whole document
        is_hook = "timeout" in schema["properties"]
        return _write({"command": str(value).split()}) if is_hook and str(value).strip() else ""
    if isinstance(value, str) and (special := _for_notation(value, schema)):
        return _write(special)
    fields = schema.get("properties", {})
    for name, field in fields.items():
        if (taken := _taken(value, field)) is not None:
            return _write({name: taken})
    for name, field in fields.items():
        if (taken := _corrected(value, field)) is not None:
            return _write({name: taken})
    name, has_equals, rest = str(value).partition("=")
    if has_equals and name and "additionalProperties" in schema and not fields:
        return _write({name: rest})
    return _for_list([value], schema)


def _for_notation(value: str, schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return the mapping for `DIR:/DIR:ro` as a mount, `/dev/X:/dev/X` as a device, a URL as a
    probe.
    """
    fields = schema.get("properties", {})
    if "access" in fields and value.startswith("/dev/"):
        return {"path": value.partition(":")[0]}
    if "target" in fields and (match := _MOUNT.fullmatch(value)):
        options = {"options": match[3].split(",")} if match[3] else {}
        return {"type": "bind", "source": match[1], "target": match[2], **options}
    if "http" in fields and (match := _URL.fullmatch(value)):
        return {"http": {"port": int(match[1] or 80), "path": match[2] or "/"}}
    return None


def _taken(value: Any, field: dict[str, Any]) -> Any:
    """Return the value as the field takes it, None if it does not."""
    if "enum" in field:
        choices = field["enum"]
        word = str(value).removeprefix("SIG")
        return word if word in choices else meant(word, choices)
    types = [field["type"]] if isinstance(field.get("type"), str) else field.get("type", ())
    kind = "string" if isinstance(value, str) else "integer"
    if kind not in types or ("pattern" in field and "format" not in field):
        return None
    return value if _complaint(value, field) is None else None


def _corrected(value: Any, field: dict[str, Any]) -> str | None:
    """Return what the field's check proposes: `256M` for `256MB`."""
    _, has_one, proposal = (_complaint(value, field) or "").rpartition("; write ")
    return proposal.partition(" or ")[0] if has_one else None


def _complaint(value: Any, field: dict[str, Any]) -> str | None:
    from reconciler.loader.formats import format_checks

    check = format_checks().get(field.get("format", ""))
    try:
        if check is not None:
            check(value)
    except ValueError as error:
        return str(error)
    return None


def _for_list(value: list[Any], schema: dict[str, Any]) -> str:
    """Return what to write instead of a list where names are to have values."""
    if "command" in schema.get("properties", {}):
        what = "this is a unit file" if value[:1] in _UNIT_FILE else "a file is one container"
        return f"; {what}: write 'command: [PROGRAM, ARGUMENT, ...]'"
    values = schema.get("additionalProperties")
    if not value or not isinstance(values, dict):
        return ""
    if all(isinstance(one, dict) and {"name", "value"} <= one.keys() for one in value):
        return _write({str(one["name"]): str(one["value"]) for one in value})
    if not all(isinstance(one, str) for one in value):
        return ""
    if values.get("format") == "dependency-condition":
        return _write(dict.fromkeys(value, "started"))
    if all("=" in one for one in value):
        return "; write 'NAME: value', not '- NAME=value'"
    if any("=" in one for one in value):
        return "; write 'NAME: value' for each; none is taken from the caller's environment"
    return ""


def _for_mapping(value: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return what to write instead of a mapping where a list is wanted."""
    items = schema.get("items", {})
    if items.get("type") == "object" and value.keys() <= items.get("properties", {}).keys():
        return "; put '- ' before it: it is one item of a list"
    if isinstance(added := value.get("add"), list) and all(isinstance(one, str) for one in added):
        return _write(added)
    return ""


def _example(schema: dict[str, Any]) -> str:
    for one in schema.get("examples", ()):
        if isinstance(one, dict | list):
            return f", as {_flow(one)}"
    return ""


def _write(value: Any) -> str:
    text = _flow(value)
    return _WRITE + text if len(text) <= 2 * _LONGEST and text.isprintable() else ""


def _flow(value: Any) -> str:
    """Return a value as YAML in one line: `{type: bind, options: [ro]}`."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and _is_text(value)):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _is_text(value: str) -> bool:
    """Tell whether it is a text without quotes too."""
    from reconciler.loader.scalars import resolve_scalar

    return isinstance(resolve_scalar(value), str)
