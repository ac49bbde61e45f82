"""The one rule for names of containers, which are also their ids.

Used by the loader for specs and by the engine for ids. A name becomes a directory, a cgroup
and the default host name, hence the rule. Pure functions.
"""

from __future__ import annotations

MAX_NAME_LENGTH = 63
MAX_ID_LENGTH = 200  # of a container that no spec names: podman's ids have 64, a file name 255
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME = _LETTERS | frozenset("_.-")
_ID = _NAME | frozenset("+")  # as runc and crun have it


def is_valid_id(text: str) -> bool:
    """Tell whether `text` may name a container."""
    return explain_id(text) is None


def explain_id(text: str, longest: int = MAX_NAME_LENGTH) -> str | None:
    """Return why `text` may not name a container, on one line, or None when it may."""
    shown = repr(text if len(text) <= MAX_NAME_LENGTH else text[:20] + "...")
    rule = f"a name is 1 to {longest} letters, digits, '_', '-' and '.'"
    if not text:
        return f"the name is empty; {rule}"
    if len(text) > longest:
        return f"{shown} has {len(text)} characters; {rule}"
    is_name = longest == MAX_NAME_LENGTH
    if text[0] in ("-._" if is_name else "-."):
        return f"{shown} begins with {text[0]!r}; a name begins with a letter or a digit"
    if ".." in text:
        return f"{shown} contains '..'; {rule}"
    allowed = _NAME if is_name else _ID
    if not allowed.issuperset(text) or text[0] == "+":
        bad = next((char for char in text if char not in allowed), text[0])
        return f"{shown} contains {bad!r}; {rule}"
    return None
