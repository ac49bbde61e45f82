"""inotify(7): a descriptor that tells of changes of one file or directory.

Called by the engine and the monitor. Standard library and `libc` alone.
"""

from __future__ import annotations

import os
import struct

from reconciler.lean import IntFlag
from reconciler.linux.libc import check, libc

_EVENT = struct.Struct("iIII")  # struct inotify_event without its name
_BUFFER_BYTES = 65536


class Inotify(IntFlag):
    """IN_* of linux/inotify.h."""

    ATTRIB = 0x4
    MOVED_TO = 0x80
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    IGNORED = 0x8000
    Q_OVERFLOW = 0x4000
    ONLYDIR = 0x1000000


def watch_path(path: str, mask: int) -> int:
    """Return a non-blocking inotify descriptor with one watch. Raises: OSError with the path."""
    fd = check(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), path)
    try:
        check(libc.inotify_add_watch(fd, os.fsencode(path), mask), path)
    except OSError:
        os.close(fd)
        raise
    return fd


def read_events(fd: int) -> list[tuple[int, str]]:
    """Return (mask, name) of what has happened since the last call. Raises: OSError."""
    try:
        data = os.read(fd, _BUFFER_BYTES)
    except BlockingIOError:
        return []
    events, offset = [], 0
    while offset < len(data):
        _, mask, _, length = _EVENT.unpack_from(data, offset)
        offset += _EVENT.size
        events.append((mask, os.fsdecode(data[offset : offset + length].rstrip(b"\0"))))
        offset += length
    return events
