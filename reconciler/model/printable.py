"""Text of others for a terminal: what it would obey is shown instead.

Called by whatever writes text for people: a command line, an error's path or a container's output
may hold escape sequences that rename windows, type answers or overwrite what was there. JSON and
YAML have their own escapes.
"""

from __future__ import annotations

import re

# C0 and C1 but for tab and newline, and what turns the direction of writing (Unicode UAX 9).
_UNSAFE = "\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_ANY = re.compile(f"[\x1b{_UNSAFE}]")
_BUT_COLOURS = re.compile(f"\x1b(?!\\[[0-9;]*m)|[{_UNSAFE}]")  # SGR of ECMA-48


def printable(text: str, *, has_colours: bool = False) -> str:
    """Return the text with control characters as `\\x1b`; with `has_colours` those may stay."""
    pattern = _BUT_COLOURS if has_colours else _ANY
    return pattern.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
