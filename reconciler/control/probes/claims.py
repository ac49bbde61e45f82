"""Who probes which container: one process at a time, by locks on bytes of `RUN_DIR/probes.lock`.

Used by the desk. The kernel lets go of the locks of a process that has ended. Source: fcntl(2),
open file description locks: they exclude two holders in one process too.
"""

from __future__ import annotations

import fcntl
import os
import struct
from zlib import crc32

FILE = "probes.lock"


class Claims:
    """The containers that are ours to probe. Not for several threads at once."""

    def __init__(self, run_dir: str) -> None:
        self._path = os.path.join(run_dir, FILE)
        self._fd = -1
        self._held: set[str] = set()

    def has(self, name: str) -> bool:
        """Tell whether a container is ours."""
        return name in self._held

    def take(self, name: str) -> bool:
        """Make a container ours; False when another process has it. Raises: OSError."""
        if name in self._held:
            return True
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(name, fcntl.F_WRLCK)
        except BlockingIOError:
            return False
        self._held.add(name)
        return True

    def release(self, name: str) -> None:
        """Let go of a container. Raises: OSError."""
        self._held.discard(name)
        if not any(_place(other) == _place(name) for other in self._held):
            self._lock(name, fcntl.F_UNLCK)

    def close(self) -> None:
        """Let go of all."""
        self._held.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _lock(self, name: str, kind: int) -> None:
        # struct flock: l_type, l_whence, l_start, l_len, l_pid (which must be 0)
        lock = struct.pack("@hhqqi4x", kind, os.SEEK_SET, _place(name), 1, 0)
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, lock)


def _place(name: str) -> int:
    return crc32(name.encode())
