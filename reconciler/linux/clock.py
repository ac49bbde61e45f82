"""The one home of wall-clock time; everything else is handed a time or this function."""

from __future__ import annotations

import time


def wall_s() -> float:
    """Return seconds since the epoch, for display and records."""
    return time.time()


def boot_s() -> float:
    """Return seconds since boot, suspended ones too, by the clock that nobody sets.

    It is the one of start times in /proc/PID/stat (proc_pid_stat(5), starttime).
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_ns() -> int:
    """Return nanoseconds since the epoch, for the time stamps of logs."""
    return time.time_ns()
