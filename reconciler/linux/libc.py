"""The one door to the C library: ctypes prototypes, set once, and `OSError` on failure.

Owns every ctypes binding of the project that is not seccomp's or capset's. Called by the
other modules of this layer alone. Returns plain ints; raises `OSError(errno, strerror, path)`.
"""

from __future__ import annotations

import ctypes
import os
import platform

libc = ctypes.CDLL(None, use_errno=True)

_long, _int, _uint, _char_p, _void_p = (
    ctypes.c_long,
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_char_p,
    ctypes.c_void_p,
)

libc.mount.argtypes = [_char_p, _char_p, _char_p, ctypes.c_ulong, _char_p]
libc.umount2.argtypes = [_char_p, _int]
libc.unshare.argtypes = [_int]
libc.setns.argtypes = [_int, _int]
libc.sethostname.argtypes = [_char_p, ctypes.c_size_t]
libc.prctl.argtypes = [_int] + [ctypes.c_ulong] * 4
libc.syscall.restype = _long

# The same numbers on every architecture since 2019 (asm-generic/unistd.h).
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_CLONE3 = 435
SYS_CLOSE_RANGE = 436
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(platform.machine(), -1)


def check(result: int, path: str | None = None) -> int:
    """Return `result`, or raise the `OSError` of errno when it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def syscall(number: int, *args: int | bytes | None, path: str | None = None) -> int:
    """Make a raw system call; ints are passed as 64-bit longs.

    Raises: OSError.
    """
    converted = [_long(arg) if isinstance(arg, int) else arg for arg in args]
    return check(libc.syscall(_long(number), *converted), path)
