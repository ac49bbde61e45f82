"""Checks wanted CPUs and memory nodes against those that a cgroup may use. For both cpusets."""

from __future__ import annotations

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import Limits, Unsupported
from reconciler.lean import Mapping


def out_of_range(wanted: Limits, allowed_files: Mapping[str, str]) -> list[Unsupported]:
    """Return the wanted lists (by field) that name what the file of that field does not hold.

    Raises: OSError with the path.
    """
    found = []
    for field, path in allowed_files.items():
        text = wanted[field]
        if text is None:
            continue
        allowed = files.read_text(path).strip()
        reason = _reason(str(text), allowed)
        if reason is not None:
            found.append(Unsupported(field, reason, f"use some of {allowed}"))
    return found


def _reason(text: str, allowed: str) -> str | None:
    try:
        extra = convert.parse_list(text) - convert.parse_list(allowed)
    except ValueError as error:
        return str(error)
    return f"{convert.format_list(extra)} not available here" if extra else None
