"""Replaces a file as a whole. Called by whoever owns one in the run or state directory."""

from __future__ import annotations

import os
from contextlib import suppress


def replace_file(path: str, content: bytes, *, is_synced: bool = False) -> None:
    """Write a file for its owner alone, at once or not at all.

    What a writer that was killed has left of it is cleared away. `is_synced`: it outlasts the
    loss of power (fsync(2)).

    Raises: OSError; the old file then stands.
    """
    _clear_away(path)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as stream:
            stream.write(content)
            stream.flush()
            if is_synced:
                os.fsync(fd)
        os.rename(temporary, path)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _clear_away(path: str) -> None:
    directory, name = os.path.split(path)
    with suppress(OSError):  # it is in nobody's way
        for left in os.listdir(directory):
            pid = left.removeprefix(f"{name}.").removesuffix(".tmp")
            if left == f"{name}.{pid}.tmp" and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
                os.unlink(os.path.join(directory, left))
