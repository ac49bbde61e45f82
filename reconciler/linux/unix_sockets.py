"""Connecting to a Unix socket at a path in the root of another process.

Called by the engine and by a step of the monitor's. Sources: unix(7), openat2(2).
"""

from __future__ import annotations

import errno
import os
import stat
import struct

from reconciler.lean import socket
from reconciler.linux.mount import open_in_root


def connect_unix_in_root_of(pid: int, path: str, timeout_s: float) -> None:
    """Connect to a socket at a path in the root of a process, and hang up.

    No symlink leads outside of that root, and the path may be longer than unix(7) allows.
    Raises: OSError (ENOTSOCK for what is no socket, EAGAIN when the time is over).
    """
    root_fd = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in_root(root_fd, path, os.O_PATH)
    finally:
        os.close(root_fd)
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK), path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            # A connect that must wait, as the queue of the socket is full, heeds this alone.
            limit = struct.pack("@ll", int(timeout_s), int(timeout_s % 1 * 1e6) or 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            sock.connect(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
