"""Failures in the words by which conmon, podman and docker know them.

Called by `main`. podman looks for `executable file not found in` and `permission denied` in the
text to choose its exit code (127, 126), docker and conmon for the former alone.
"""

from __future__ import annotations

import os

from reconciler.errors import ErrorCode, ReconcilerError

_WORDS = {
    ErrorCode.CommandNotFound: "executable file not found in $PATH",
    ErrorCode.CommandNotExecutable: "permission denied",
    ErrorCode.ContainerNotExists: "container does not exist",
    ErrorCode.ContainerDestroyed: "container does not exist",
    ErrorCode.ContainerNotRunning: "container not running",
    ErrorCode.IdInUse: "container with given ID already exists",
}


def describe(error: ReconcilerError | OSError, verb: str) -> str:
    """Return one line: what is wrong, what to do, and the code."""
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        text = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
        return f"cannot {verb}: {text}{where}"
    words = _WORDS.get(error.code)
    known = "" if words is None or words in error.message else f": {words}"
    return f"{error.message}{known} [{error.code.name}]"
