"""Text of others for a terminal: what it would obey is shown instead.

Called by whatever writes text for people: a command line, an error's path or a container's output
may hold escape sequences that rename windows, type answers or overwrite what was there. JSON and
YAML have their own escapes.
"""

from __future__ import annotations

# C0 and C1 but for tab and newline, and what turns the direction of writing (Unicode UAX 9).
_TURNING = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNSAFE = {*range(0x20), *range(0x7F, 0xA0), *_TURNING} - {0x09, 0x0A}
_TABLE = {one: f"\\x{one:02x}" if one < 0x100 else f"\\u{one:04x}" for one in _UNSAFE}


def printable(text: str, *, has_colours: bool = False) -> str:
    """Return the text with control characters as `\\x1b`; with `has_colours` those may stay."""
    if text.isprintable():
        return text
    if not has_colours or "\x1b[" not in text:
        return text.translate(_TABLE)
    import re  # costs 6 ms; only needed for colours

    parts = re.split("(\x1b\\[[0-9;]*m)", text)  # SGR of ECMA-48, at the odd places
    parts[::2] = [part.translate(_TABLE) for part in parts[::2]]
    return "".join(parts)
