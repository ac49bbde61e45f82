"""The one home of wall-clock time; everything else is handed a time or this function."""

from __future__ import annotations

import time


def wall_s() -> float:
    """Return seconds since the epoch, for display and records."""
    return time.time()


def wall_ns() -> int:
    """Return nanoseconds since the epoch, for the time stamps of logs."""
    return time.time_ns()
