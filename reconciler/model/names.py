"""The one rule for names of containers, which are also their ids.

Used by the loader for specs and by the engine for ids. A name becomes a directory, a cgroup
and the default host name, hence the rule. Pure functions.
"""

from __future__ import annotations

import re

MAX_NAME_LENGTH = 63
MAX_ID_LENGTH = 200  # of a container that no spec names: podman's ids have 64, a file name 255
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", re.ASCII)
_ID = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.+-]*", re.ASCII)  # as runc and crun have it


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
    pattern = _NAME if longest == MAX_NAME_LENGTH else _ID
    if text[0] in "-._" and not pattern.fullmatch(text[0]):
        return f"{shown} begins with {text[0]!r}; a name begins with a letter or a digit"
    if ".." in text:
        return f"{shown} contains '..'; {rule}"
    if not pattern.fullmatch(text):
        bad = next(char for char in text if not pattern.fullmatch("a" + char))
        return f"{shown} contains {bad!r}; {rule}"
    return None
