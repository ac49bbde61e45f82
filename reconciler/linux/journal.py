"""Structured records for systemd's journal, in its native protocol.

Called by control's log. One datagram a record; one that is too large goes as a sealed memory
file. Source: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/, systemd.journal-fields(7),
systemd.exec(5) on $JOURNAL_STREAM.
"""

from __future__ import annotations

import array
import errno
import os
import struct

from reconciler.lean import Mapping, pattern, socket
from reconciler.linux.memfd import make_sealed_memfd

SOCKET = "/run/systemd/journal/socket"
_NOT_OF_A_NAME = pattern(r"[^A-Z0-9_]")
_NAME_MAX = 64


def is_journal(fd: int, stream: str | None = None) -> bool:
    """Tell whether a descriptor is what systemd has connected to the journal.

    `stream` is $JOURNAL_STREAM, `DEVICE:INODE`, None: the environment's.
    """
    wanted = os.environ.get("JOURNAL_STREAM", "") if stream is None else stream
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return wanted == f"{status.st_dev}:{status.st_ino}"


def field_name(name: str) -> str:
    """Return a name that the journal takes: capitals, digits and underscores, 64 at most."""
    return _NOT_OF_A_NAME.sub("_", name.upper()).lstrip("_0123456789")[:_NAME_MAX]


def encode(fields: Mapping[str, str]) -> bytes:
    """Return a record of fields with valid names as the journal reads it."""
    parts: list[bytes] = []
    for name, value in fields.items():
        data = value.encode("utf-8", "surrogateescape")
        if b"\n" in data:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
        else:
            parts.append(name.encode() + b"=" + data + b"\n")
    return b"".join(parts)


class Journal:
    """A connection to the journal, made with the first record and again when it was lost."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._sock: socket.socket | None = None

    def send(self, fields: Mapping[str, str]) -> None:
        """Write one record; safe from any thread. Raises: OSError when there is no journal."""
        data = encode(fields)
        sock = self._sock
        if sock is None:
            flags = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
            sock = self._sock = socket.socket(socket.AF_UNIX, flags)
        try:
            sock.sendto(data, self._path)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_file(sock, data)

    def _send_file(self, sock: socket.socket, data: bytes) -> None:
        fd = make_sealed_memfd("journal-record", data)
        try:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
            sock.sendmsg([], [rights], 0, self._path)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the connection."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
