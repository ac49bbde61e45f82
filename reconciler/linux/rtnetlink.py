"""Moves network devices between network namespaces, with their addresses. Called by the OCI verbs.

The kernel drops a device's addresses on the way (rtnetlink(7)): they are read before and given back
inside. Sources: rtnetlink(7), linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h.
"""

from __future__ import annotations

import errno
import os
import struct

from reconciler.lean import Iterator, NamedTuple, socket
from reconciler.linux.process import CloneFlag, setns

_RTM_SETLINK, _RTM_NEWADDR, _RTM_GETADDR = 19, 20, 22
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP, _CREATE, _EXCL = 0x1, 0x4, 0x300, 0x400, 0x200
_IFLA_IFNAME, _IFLA_NET_NS_FD = 3, 28
_IFA_FLAGS = 8
_IFA_KEPT = (1, 2, 4, 8, 9)  # address, local, broadcast, flags, route priority
_F_PERMANENT, _SCOPE_GLOBAL = 0x80, 0
_IFF_UP = 0x1
_HEADER, _ERRNO = struct.Struct("=IHHII"), struct.Struct("=i")
_LINK, _ADDRESS = struct.Struct("=BxHiII"), struct.Struct("=BBBBI")
_BUFFER = 1 << 16


class _Address(NamedTuple):
    family: int
    prefix: int
    attributes: bytes


def move_device(name: str, new_name: str, namespace: str) -> None:
    """Move a device of the caller's network namespace into that of the file `namespace`.

    There it is called `new_name`, has its permanent addresses of global scope, and is up. The
    caller must have a single thread: it enters that namespace and comes back.

    Raises: OSError with the device's name.
    """
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    other = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        index = _index_of(name)
        addresses = _addresses_of(index)
        moved = _attribute(_IFLA_NET_NS_FD, struct.pack("=i", other))
        moved += _attribute(_IFLA_IFNAME, new_name.encode() + b"\0")
        _request(_RTM_SETLINK, _ACK, _LINK.pack(0, 0, index, 0, 0) + moved)
        setns(other, CloneFlag.NEWNET)
        try:
            _set_up(new_name, addresses)
        finally:
            setns(own, CloneFlag.NEWNET)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error
    finally:
        os.close(own)
        os.close(other)


def _index_of(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError as error:  # it comes without a number
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from error


def _set_up(name: str, addresses: list[_Address]) -> None:
    index = _index_of(name)
    for one in addresses:
        body = _ADDRESS.pack(one.family, one.prefix, 0, _SCOPE_GLOBAL, index) + one.attributes
        _request(_RTM_NEWADDR, _ACK | _CREATE | _EXCL, body)
    _request(_RTM_SETLINK, _ACK, _LINK.pack(0, 0, index, _IFF_UP, _IFF_UP))


def _addresses_of(index: int) -> list[_Address]:
    found = []
    for data in _request(_RTM_GETADDR, _DUMP, _ADDRESS.pack(0, 0, 0, 0, 0)):
        family, prefix, flags, scope, owner = _ADDRESS.unpack_from(data)
        given = dict(_attributes(data[_ADDRESS.size :]))
        if _IFA_FLAGS in given:
            (flags,) = struct.unpack("=I", given[_IFA_FLAGS])
        if owner == index and scope == _SCOPE_GLOBAL and flags & _F_PERMANENT:
            kept = [_attribute(kind, given[kind]) for kind in _IFA_KEPT if kind in given]
            found.append(_Address(family, prefix, b"".join(kept)))
    return found


def _request(kind: int, flags: int, body: bytes) -> list[bytes]:
    """Send one request; return the bodies of the answers. Raises: OSError."""
    bodies: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as sock:
        sock.sendall(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body)
        while True:
            for answer, data in _messages(sock.recv(_BUFFER)):
                if answer == _DONE:
                    return bodies
                if answer != _ERROR:
                    bodies.append(data)
                    continue
                (code,) = _ERRNO.unpack_from(data)
                if code:
                    raise OSError(-code, os.strerror(-code))
                return bodies


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        size, kind, *_ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : size]
        data = data[_aligned(size) :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:size]
        data = data[_aligned(size) :]


def _attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(_aligned(size) - size)


def _aligned(size: int) -> int:
    return size + 3 & ~3
