"""Warns of spec files that everyone can write to: who writes one has the rights of who applies it.

Called for each file that is read, not for those that are unchanged. It is a warning, as systemd's
of its units: a file system without owners (a virtual machine's shared folder) has no other modes.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache


def warn_of_writers(file: str, found: os.stat_result) -> None:
    """Log a warning where everyone can change the file, or put others beside it."""
    _warn_of_directory(os.path.dirname(file))
    if found.st_mode & stat.S_IWOTH:
        _warn(file, "what is in it is run with your rights")


@lru_cache(maxsize=1024)
def _warn_of_directory(directory: str) -> None:
    try:
        found = os.stat(directory or ".")
    except OSError:  # it is told where it is read
        return
    if found.st_mode & stat.S_IWOTH:
        _warn(directory, "a spec that is put into it is run with your rights")


def _warn(path: str, consequence: str) -> None:
    import logging  # costs 4 ms; only needed when something is told

    message = "everyone can write to %s, and %s: chmod o-w %s"
    context = {"path": path}
    logging.getLogger("reconciler.loader").warning(message, path, consequence, path, extra=context)
