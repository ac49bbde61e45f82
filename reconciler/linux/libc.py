"""The one door to the C library: ctypes prototypes, set once, and `OSError` on failure.

Owns every ctypes binding of the project that is not seccomp's or capset's. Called by the
other modules of this layer alone. Returns plain ints; raises `OSError(errno, strerror, path)`.
"""

from __future__ import annotations

import os

from reconciler.lean import Callable, ctypes, partial

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
libc.fstatfs.argtypes = [_int, _char_p]
libc.setns.argtypes = [_int, _int]
libc.sethostname.argtypes = [_char_p, ctypes.c_size_t]
libc.setdomainname.argtypes = [_char_p, ctypes.c_size_t]
libc.personality.argtypes = [ctypes.c_ulong]
libc.inotify_init1.argtypes = [_int]
libc.inotify_add_watch.argtypes = [_int, _char_p, ctypes.c_uint32]
libc.prctl.argtypes = [_int] + [ctypes.c_ulong] * 4

# The same numbers on every architecture since 2019 (asm-generic/unistd.h).
SYS_CLONE3 = 435
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_OPENAT2 = 437
_SYS_MOUNT_SETATTR = 442
_SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}.get(os.uname().machine, -1)
_SYS_IOPRIO_GET = {"x86_64": 252, "aarch64": 31}.get(os.uname().machine, -1)
_SYS_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}.get(os.uname().machine, -1)
_SYS_SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237}.get(os.uname().machine, -1)
_SYS_BPF = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine, -1)
_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}.get(os.uname().machine, -1)


def _raw(number: int, *argtypes: type) -> Callable[..., int]:
    """Return a function for a system call that the C library may have no wrapper for."""
    prototype = ctypes.CFUNCTYPE(_long, _long, *argtypes, use_errno=True)
    return partial(prototype(("syscall", libc)), number)


open_tree = _raw(_SYS_OPEN_TREE, _int, _char_p, _uint)
move_mount = _raw(_SYS_MOVE_MOUNT, _int, _char_p, _int, _char_p, _uint)
openat2 = _raw(_SYS_OPENAT2, _int, _char_p, _char_p, ctypes.c_size_t)
mount_setattr = _raw(_SYS_MOUNT_SETATTR, _int, _char_p, _uint, _char_p, ctypes.c_size_t)
ioprio_set = _raw(_SYS_IOPRIO_SET, _int, _int, _int)
ioprio_get = _raw(_SYS_IOPRIO_GET, _int, _int)
sched_setattr = _raw(_SYS_SCHED_SETATTR, _int, _char_p, _uint)
set_mempolicy = _raw(_SYS_SET_MEMPOLICY, _int, _char_p, ctypes.c_ulong)
bpf = _raw(_SYS_BPF, _int, _char_p, _uint)
seccomp = _raw(_SYS_SECCOMP, _uint, _uint, _char_p)


def check(result: int, path: str | None = None) -> int:
    """Return `result`, or raise the `OSError` of errno when it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result
