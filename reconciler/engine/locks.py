"""Locks by flock(2), as the instance's processes take them. Called by the engine."""

from __future__ import annotations

import fcntl
import os
import time

from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import Iterator, contextmanager

_LOCK_POLL_S = 0.02


def try_lock(fd: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Take a lock unless somebody else has it, and tell whether it was to be had."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def held_lock(path: str, timeout_s: float) -> Iterator[None]:
    """Hold the lock that lets one reconciler at a time change things.

    Raises: LockTimeout, PermissionDenied, NoSpace, SystemError.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise from_os_error(error, "cannot open the reconciler's lock", path=path) from error
    try:
        deadline = time.monotonic() + timeout_s
        while not try_lock(fd):
            if time.monotonic() >= deadline:
                message = (
                    f"cannot get the lock {path} within {timeout_s:g} s: another reconciler is at "
                    "work"
                )
                raise ReconcilerError(ErrorCode.LockTimeout, message, path=path)
            time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(fd)


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
