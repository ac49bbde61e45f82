"""The monitor's socket in the run directory, made anew when somebody removes it.

Called by main and the loop. A monitor whose socket is gone would hold its lock and serve nobody
until its last container has ended. One whose lock file is gone as well may have a successor, and
makes way for it. inotify(7) tells: IN_ATTRIB comes with the unlink(2), while the socket itself
keeps its inode.
"""

from __future__ import annotations

import os

from reconciler.lean import socket, suppress
from reconciler.linux.inotify import Inotify, read_events, watch_path
from reconciler.monitor.names import LOCK_NAME, SOCKET_NAME

_BACKLOG = 128


class Listener:
    """Listens in `run_dir` for as long as it lives; `lock_fd` is the monitor's lock there.

    With `sock`, which is systemd's, it is left to systemd to have it.
    """

    def __init__(self, run_dir: str, lock_fd: int, sock: socket.socket | None = None) -> None:
        self._path = os.path.join(run_dir, SOCKET_NAME)
        self._lock_path = os.path.join(run_dir, LOCK_NAME)
        self._lock_fd = lock_fd
        self.watch_fd = -1  # stays so where the limit of watches is reached
        self._inode = 0
        self.is_serving = True
        self.has_successor = False  # another monitor may serve: the lock that we hold is not there
        if sock is None:
            self.listen()
        else:
            self.sock = sock

    def listen(self) -> None:
        """Make the socket. Raises: OSError."""
        if os.path.lexists(self._path):
            os.unlink(self._path)  # of a monitor that was killed: we hold its lock
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.sock.bind(self._path)
            self.sock.listen(_BACKLOG)
            self.sock.setblocking(False)
            self._inode = os.stat(self._path).st_ino
        except OSError:
            self.sock.close()
            raise
        with suppress(OSError):
            self.watch_fd = watch_path(self._path, Inotify.ATTRIB | Inotify.MOVE_SELF)
        self.is_serving = True

    def is_removed(self) -> bool:
        """Tell whether nothing is in the socket's place; see whether there is a successor.

        What is in its place is somebody's who takes over, as systemd's for a unit.
        """
        if self.watch_fd >= 0:
            read_events(self.watch_fd)
        if self._is_in_place():
            return False
        try:
            lock = os.stat(self._lock_path)
            self.has_successor = not os.path.samestat(os.fstat(self._lock_fd), lock)
        except FileNotFoundError:
            self.has_successor = True
        return not self.has_successor and not os.path.lexists(self._path)

    def _is_in_place(self) -> bool:
        try:
            return os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Serve nobody any more."""
        if self.watch_fd >= 0:
            os.close(self.watch_fd)
            self.watch_fd = -1
        self.sock.close()
        self.is_serving = False

    def remove(self) -> None:
        """Serve nobody any more, and take the socket's file away if it is ours."""
        is_ours = self._is_in_place()
        self.close()
        if is_ours:
            os.unlink(self._path)
