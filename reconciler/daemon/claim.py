"""Tells of a second daemon on the same source: `RUN_DIR/watch.lock`, one byte of it a source.

Called by the loop at its start. Two daemons do no harm, as passes take turns by another lock; one
of them is too many all the same, and who started it may not know. Source: fcntl(2), F_GETLK: the
pid of who holds a lock.
"""

from __future__ import annotations

import fcntl
import os
import struct
from binascii import crc32
from collections.abc import Iterable

from reconciler.control.logs import get_logger, log_failure
from reconciler.errors import from_os_error

_FILE = "watch.lock"
_FLOCK = "@hhqqi4x"  # struct flock: l_type, l_whence, l_start, l_len, l_pid


class Claim:
    """The sources that this process watches, until `close` or its end."""

    def __init__(self, run_dir: str) -> None:
        self._path = os.path.join(run_dir, _FILE)
        self._fd = -1

    def take_all(self, sources: Iterable[str]) -> None:
        """Claim the sources, and log which of them another daemon watches already."""
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            others = {source: self._take(os.path.realpath(source)) for source in sources}
        except OSError as error:
            what = "cannot tell whether another daemon is at work"
            log_failure(from_os_error(error, what, path=self._path))
            return
        for source, pid in others.items():
            if pid is not None:
                get_logger("watch").warning(
                    "%s is watched by another `reconciler watch` already, pid %d: they take turns, "
                    "and one of them is enough; end the other: kill %d",
                    *(source, pid, pid),
                )

    def close(self) -> None:
        """Give all of them up."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _take(self, source: str) -> int | None:
        """Claim a source; return the pid of another process that has claimed it already."""
        wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, crc32(source.encode()), 1, 0)
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETLK, wanted)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, as POSIX lets it be
            kind, *_, pid = struct.unpack(_FLOCK, fcntl.fcntl(self._fd, fcntl.F_GETLK, wanted))
            return None if kind == fcntl.F_UNLCK else int(pid)
        return None
