"""Moments: wall-clock seconds since the epoch as RFC 3339 text, and back. Pure functions."""

from __future__ import annotations

import re
import time

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def format_time(at: float) -> str:
    """Return wall-clock seconds as RFC 3339 in UTC, to the nearest millisecond."""
    milliseconds = round(at * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03}Z"


def parse_time(text: str) -> float:
    """Return the wall-clock seconds of an RFC 3339 text such as `2026-01-31T12:00:00Z`.

    Raises: ValueError with what is wrong.
    """
    from datetime import datetime

    if len(text) > 40 or not _RFC3339.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a time; write 2026-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a time: {error}") from error
