"""The little that a private network namespace needs: loopback up. Source: netdevice(7)."""

from __future__ import annotations

import fcntl
import struct

from reconciler.lean import socket

_SIOCSIFFLAGS = 0x8914
_IFF_UP, _IFF_RUNNING = 0x1, 0x40


def bring_loopback_up() -> None:
    """Set `lo` up in the caller's network namespace. Raises: OSError."""
    request = struct.pack("16sh14x", b"lo", _IFF_UP | _IFF_RUNNING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, request)
