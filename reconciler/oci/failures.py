"""Failures in the words by which conmon, podman and docker know them.

Called by `main`. podman looks for `executable file not found in` and `permission denied` in the
text to choose its exit code (127, 126), docker and conmon for the former alone; for a path, and for
the interpreter of a script, it is `no such file or directory`.
"""

from __future__ import annotations

import errno
import os

from reconciler.errors import ErrorCode, ReconcilerError

_BY_ERRNO = {errno.ENOENT: "no such file or directory", errno.ENOEXEC: "exec format error"}
_SWAPPED = {
    ErrorCode.ContainerNotExists: "container does not exist",
    ErrorCode.ContainerDestroyed: "container does not exist",
    ErrorCode.ContainerNotRunning: "container not running",
}


def describe(error: Exception, verb: str) -> str:
    """Return one line: what is wrong, what to do, and the code."""
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        text = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
        return f"cannot {verb}: {text}{where}"
    if isinstance(error, ReconcilerError):
        return f"{_told(error)} [{error.code.name}]"
    return f"internal error: cannot {verb}: {error!r}; please report it with this text"


def _added(error: ReconcilerError) -> str | None:
    """Return the words that are looked for, beside ours."""
    match error.code:
        case ErrorCode.IdInUse:
            return "container with given ID already exists"
        case ErrorCode.CommandNotFound if "/" not in (error.path or ""):
            return "executable file not found in $PATH"
        case ErrorCode.CommandNotFound:
            return _BY_ERRNO[errno.ENOENT]
        case ErrorCode.CommandNotExecutable:
            return _BY_ERRNO.get(error.errno or 0, "permission denied")
        case _:
            return None


def _told(error: ReconcilerError) -> str:
    message, added = error.message, _added(error)
    if added is not None:
        return f"{message}: {added}"
    known = _SWAPPED.get(error.code)
    if known is None:
        return message
    if error.code is ErrorCode.ContainerNotRunning and "it is not running" in message:
        return message.replace("it is not running", known)
    return f"{known}: {message}"
