"""Makes and removes cgroup directories. Standard library and `files` alone; no policy.

Called by the drivers (and by the monitor if it ever has to clean up).
"""

from __future__ import annotations

import errno
import os
import time

from reconciler.cgroup import files
from reconciler.cgroup.core import anchor, descend, directories
from reconciler.lean import Mapping, suppress

_REMOVE_WAIT_S = 2.0
_FIRST_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.02


def make(path: str) -> list[str]:
    """Make a cgroup and its missing ancestors; return those made, topmost first.

    Nothing is left behind when one fails.

    Raises: OSError with the path.
    """
    with suppress(FileNotFoundError):  # mostly the parent is there
        return [path] if files.mkdir(path) else []
    missing = [path]
    while not files.exists(os.path.dirname(missing[-1])):
        missing.append(os.path.dirname(missing[-1]))
    made: list[str] = []
    try:
        for directory in reversed(missing):
            if files.mkdir(directory):
                made.append(directory)
    except OSError as error:
        unmake(made, error)
        raise
    return made


def unmake(made: list[str], first_error: OSError) -> None:
    """Remove what `make` made after `first_error`; a failure becomes a note on that error."""
    for directory in reversed(made):
        try:
            files.rmdir(directory)
        except OSError as error:
            first_error.add_note(f"cannot remove the cgroup just made: {error}")


def try_remove(paths: Mapping[str, str]) -> bool:
    """Remove the cgroups of a container if nothing is in them; tell whether all are gone.

    None is removed where a live process of the container's is left.
    """
    return bool(paths) and all(map(_try_remove, (anchor(paths), *directories(paths))))


def _try_remove(path: str) -> bool:
    try:
        files.rmdir(path)
    except OSError:  # mostly EBUSY; `remove` tells what else it is
        return False
    return True


def remove(path: str) -> None:
    """Remove a cgroup and all nested ones, deepest first; fine when it is gone.

    EBUSY is retried for at most 2 s: a killed task leaves its cgroup a moment after the kill.

    Raises: OSError with the path; EBUSY while a process lives in it.
    """
    if _try_remove(path):  # mostly it is empty
        return
    deadline = time.monotonic() + _REMOVE_WAIT_S
    for directory in reversed(descend(path)):
        _remove_one(directory, deadline)


def _remove_one(path: str, deadline: float) -> None:
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            files.rmdir(path)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
