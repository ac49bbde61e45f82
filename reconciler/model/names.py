"""The one rule for names of containers, which are also their ids.

Used by the loader for specs and by the engine for ids. A name becomes a directory, a cgroup
and the default host name, hence the rule. Pure functions.
"""

from __future__ import annotations

import re

MAX_NAME_LENGTH = 63
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", re.ASCII)
_RULE = f"a name is 1 to {MAX_NAME_LENGTH} letters, digits, '_', '-' and '.'"


def is_valid_id(text: str) -> bool:
    """Tell whether `text` may name a container."""
    return explain_id(text) is None


def explain_id(text: str) -> str | None:
    """Return why `text` may not name a container, on one line, or None when it may."""
    shown = repr(text if len(text) <= MAX_NAME_LENGTH else text[:20] + "...")
    if not text:
        return f"the name is empty; {_RULE}"
    if len(text) > MAX_NAME_LENGTH:
        return f"{shown} has {len(text)} characters; {_RULE}"
    if text[0] in "-._":
        return f"{shown} begins with {text[0]!r}; a name begins with a letter or a digit"
    if ".." in text:
        return f"{shown} contains '..'; {_RULE}"
    if not _NAME.fullmatch(text):
        bad = next(char for char in text if not _NAME.fullmatch("a" + char))
        return f"{shown} contains {bad!r}; {_RULE}"
    return None
