"""Sockets that reach into a container: of its network, and at a path in its root.

Called by the probes. Sources: setns(2), network_namespaces(7), unix(7), openat2(2).
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct

from reconciler.linux.mount import open_in_root
from reconciler.linux.process import CloneFlag, setns


def make_socket_in_network_of(pid: int, family: int) -> int:
    """Return the descriptor of a TCP socket in the network namespace of a process.

    Raises: OSError (ENOENT when there is no such process).
    """
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.path.samestat(os.fstat(fd), os.stat("/proc/self/ns/net")):
            return _make_socket(family)
        return _make_socket_inside(fd, family)
    finally:
        os.close(fd)


def _make_socket(family: int) -> int:
    return socket.socket(family, socket.SOCK_STREAM).detach()


def _make_socket_inside(namespace_fd: int, family: int) -> int:
    """Make it in a thread that enters the namespace and ends: no other code ever runs in there."""
    import threading

    made: list[int] = []
    failed: list[OSError] = []

    def enter_and_make() -> None:
        try:
            setns(namespace_fd, CloneFlag.NEWNET)
            made.append(_make_socket(family))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=enter_and_make, name="network")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


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
