"""What is wrong in one document, before it has a place: a finding, and its field's spelling.

Made by `messages` and `rules`, turned into a `Problem` by `parse`.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.errors.codes import ErrorCode

Path = tuple[str | int, ...]


class Finding(NamedTuple):
    """Code, path of the field in the document, message; `is_key` points at the key itself."""

    code: ErrorCode
    path: Path
    message: str
    is_key: bool = False


def spell_path(path: Path) -> str | None:
    """Return `mounts[0].source` for a path, None for the document itself."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            shown = step if step.isprintable() else repr(step)
            text += ("." if text else "") + shown[:80]
    return text or None
