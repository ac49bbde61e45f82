"""The little that a private network namespace needs: loopback up. Source: netdevice(7)."""

from __future__ import annotations

import struct

from reconciler.lean import socket
from reconciler.linux.calls import SYS, Calls

_SIOCSIFFLAGS = 0x8914
_IFF_UP, _IFF_RUNNING = 0x1, 0x40


def bring_loopback_up(calls: Calls) -> None:
    """Add to `calls` what sets `lo` up in the caller's network namespace."""
    request = struct.pack("16sh14x", b"lo", _IFF_UP | _IFF_RUNNING)
    kind = int(socket.SOCK_DGRAM) | int(socket.SOCK_CLOEXEC)
    sock = calls.fd()
    calls.add(SYS.socket, int(socket.AF_INET), kind, 0, keep=sock)
    calls.add(SYS.ioctl, sock, _SIOCSIFFLAGS, request)
    calls.close(sock)
