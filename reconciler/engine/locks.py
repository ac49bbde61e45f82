"""Locks by flock(2), as the instance's processes take them. Called by the engine."""

from __future__ import annotations

import fcntl
import os


def try_lock(fd: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Take a lock unless somebody else has it, and tell whether it was to be had."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: str) -> bool:
    """Tell whether somebody holds the lock of a file, which need not exist."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not try_lock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def await_lock(path: str) -> None:
    """Wait until nobody holds the lock of a file any more. Raises: OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    finally:
        os.close(fd)
