"""Plain scalars of YAML to values, by the core schema of YAML 1.2 (section 10.3.2).

Called by `document` for every unquoted scalar. PyYAML's own rules are YAML 1.1's, where `no`
is false, `0755` is 493, `1:30` is 90 and `2024-01-01` a date. Infinity and not-a-number stay
texts: no field takes them, and JSON has none.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

_CONSTANTS: dict[str, Scalar] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NUMBER_START = frozenset("0123456789+-.")
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_MAX_DIGITS = 40  # a longer number is a text: int() of many digits is slow, then refused


def resolve_scalar(text: str) -> Scalar:
    """Return the value of a plain (unquoted) scalar."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMBER_START or len(text) > _MAX_DIGITS:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _BASED_INT.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return _to_number(text)
    return text


def _to_number(text: str) -> Scalar:
    """Return a float, an int for a whole number (`1.0`, `1e3`), the text when it is no number."""
    number = float(text)
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() else number
