"""The catalogue behind `reconciler explain CODE`: finds what is known of an error code.

Called by the command line alone; nobody else needs to load the texts.
"""

from __future__ import annotations

from reconciler.errors import (
    ErrorCode,
    ReconcilerError,
    engine_texts,
    loop_texts,
    oci_texts,
    safety_texts,
    systemd_texts,
)
from reconciler.lean import NamedTuple


class Entry(NamedTuple):
    """One code explained: a sentence or more, likely causes, actions with their commands."""

    code: ErrorCode
    meaning: str
    causes: tuple[str, ...]
    actions: tuple[str, ...]


_PARTS = (engine_texts, oci_texts, safety_texts, loop_texts, systemd_texts)
ENTRIES = tuple(sorted(Entry(*row) for part in _PARTS for row in part.ROWS))


def find_entry(text: str) -> Entry:
    """Return the entry of a code given by number (`37`) or name (`permissiondenied`).

    Raises: Usage with the nearest names.
    """
    wanted = text.strip().casefold()
    for entry in ENTRIES:
        if wanted in (str(int(entry.code)), entry.code.name.casefold()):
            return entry
    raise ReconcilerError(
        ErrorCode.Usage, f"cannot explain {text!r:.60}: there is no such code; {_hint(wanted)}"
    )


def _hint(wanted: str) -> str:
    from difflib import get_close_matches

    names = {entry.code.name.casefold(): entry.code.name for entry in ENTRIES}
    near = [names[name] for name in get_close_matches(wanted, names, n=3, cutoff=0.5)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"codes are numbers from 1 to {max(ErrorCode)} or names such as {ErrorCode.IdInUse.name}"
