"""Writes to /proc that reach the kernel and nothing else (CVE-2025-52881, CVE-2019-16884).

Called by steps that write before the root is entered. In a mount namespace that is joined, /proc is
what somebody else has made: a directory of files, or a procfs with other files mounted over its
own. Source: statfs(2), openat2(2).
"""

from __future__ import annotations

import errno
import os

from reconciler.lean import ctypes
from reconciler.linux.libc import check, libc
from reconciler.linux.mount import open_beneath
from reconciler.linux.proc import write_and_close

_MAGIC = 0x9FA0  # PROC_SUPER_MAGIC of linux/magic.h, in the first field of struct statfs
_ROOT_INODE = 1  # PROC_ROOT_INO
_STATFS_BYTES = 256  # more than any architecture's


def write_procfs(path: str, text: str) -> None:
    """Write a file below /proc in one call, if /proc is procfs and the file one of that mount's.

    Raises: OSError with the path.
    """
    top = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not is_procfs(top) or os.fstat(top).st_ino != _ROOT_INODE:
            raise OSError(errno.EXDEV, "/proc is not the kernel's process file system", path)
        fd = _open(top, path)
    finally:
        os.close(top)
    write_and_close(fd, path, text)


def is_procfs(fd: int) -> bool:
    """Tell whether a descriptor is of a procfs. Raises: OSError."""
    found = ctypes.create_string_buffer(_STATFS_BYTES)
    check(libc.fstatfs(fd, found))
    return int.from_bytes(found.raw[: ctypes.sizeof(ctypes.c_long)], "little") == _MAGIC


def _open(top: int, path: str) -> int:
    below = path.removeprefix("/proc/")
    try:
        return open_beneath(top, below, os.O_WRONLY, in_one_mount=True)
    except OSError as error:
        text = error.strerror
        if error.errno in (errno.EXDEV, errno.ELOOP):
            text = "something else is mounted over it, or a link leads away"
        raise OSError(error.errno, text, path) from error
