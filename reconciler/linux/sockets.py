"""Sockets of the network of a container. Called by the engine.

Sources: setns(2), network_namespaces(7).
"""

from __future__ import annotations

import os

from reconciler.lean import socket
from reconciler.linux.process import CloneFlag, setns


def is_in_network_of(pid: int) -> bool:
    """Tell whether we are in the network namespace of a process.

    Raises: OSError (ENOENT when there is no such process).
    """
    return os.path.samestat(os.stat(f"/proc/{pid}/ns/net"), os.stat("/proc/self/ns/net"))


def make_socket_in_network_of(pid: int, family: int) -> int:
    """Return the descriptor of a TCP socket in the network namespace of a process.

    Raises: OSError (ENOENT when there is no such process).
    """
    if is_in_network_of(pid):
        return _make_socket(family)
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _make_socket_inside(fd, family)
    finally:
        os.close(fd)


def _make_socket(family: int) -> int:
    return socket.socket(family, socket.SOCK_STREAM).detach()


def _make_socket_inside(namespace_fd: int, family: int) -> int:
    """Make it in a thread that enters the namespace and ends: no other code ever runs in there."""
    from reconciler.linux.inside import run_in_thread  # with threads, which are slow to load

    made: list[int] = []

    def enter_and_make() -> None:
        setns(namespace_fd, CloneFlag.NEWNET)
        made.append(_make_socket(family))

    run_in_thread(enter_and_make)
    return made[0]
