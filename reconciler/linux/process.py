"""Processes, namespaces and file descriptors: clone3, pidfds, unshare, prctl, rlimits.

Called by the monitor (set-up of containers) and the engine. stdlib and ctypes only.
Sources: clone(2), pidfd_open(2), prctl(2), close_range(2), kernel include/uapi/linux/pidfd.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys

from reconciler.lean import IntFlag, Sequence, ctypes, signal
from reconciler.linux.calls import SYS, Calls, Jumps
from reconciler.linux.libc import (
    SYS_CLONE3,
    check,
    ioprio_get,
    ioprio_set,
    libc,
    sched_setattr,
    set_mempolicy,
)


class CloneFlag(IntFlag):
    """CLONE_* of linux/sched.h."""

    NEWTIME = 0x80
    PIDFD = 0x1000
    PARENT = 0x8000
    NEWNS = 0x20000
    NEWCGROUP = 0x2000000
    NEWUTS = 0x4000000
    NEWIPC = 0x8000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000
    INTO_CGROUP = 0x200000000


# Plain numbers: the enum's operators cost more than the call, and in a fresh child double.
_CLONE_PIDFD, _CLONE_PARENT, _CLONE_INTO_CGROUP = map(
    int, (CloneFlag.PIDFD, CloneFlag.PARENT, CloneFlag.INTO_CGROUP)
)
_SIGCHLD = int(signal.SIGCHLD)

_IOPRIO_WHO_PROCESS = 1
_KEYCTL_JOIN_SESSION_KEYRING = 1

PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NO_NEW_PRIVS = 38
PR_SET_NAME = 15
CLOSE_RANGE_CLOEXEC = 4

# struct pidfd_info, version of 64 bytes; PIDFD_GET_INFO = _IOWR(0xFF, 11, 64 bytes)
_PIDFD_GET_INFO = (3 << 30) | (64 << 16) | (0xFF << 8) | 11
_PIDFD_INFO_EXIT = 1 << 3
_EXIT_CODE_OFFSET = 60

# PyDLL keeps the GIL: the child must not have to take it back.
_gil_libc = ctypes.PyDLL(None, use_errno=True)
_gil_libc.syscall.restype = ctypes.c_long
_gil_libc.syscall.argtypes = [ctypes.c_long, ctypes.c_char_p, ctypes.c_size_t]

_gil_clone = ctypes.PyDLL(None, use_errno=True)
_gil_clone.syscall.restype = ctypes.c_long
_gil_clone.syscall.argtypes = [ctypes.c_long] * 3
_SYS_CLONE = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine, -1)


def clone3(flags: int, cgroup_fd: int | None = None) -> tuple[int, int]:
    """Fork this single-threaded process into new namespaces; return (pid, pidfd).

    `flags` are bits of CloneFlag. In the child returns (0, -1). Python's own hooks around a fork
    are left out: they are for threads and locks, of which there are none, and each page that
    they write to is copied. `cgroup_fd` is a cgroup v2 directory to be born in. The
    pidfd is close-on-exec. With PARENT the child is our sibling. Needs Linux 5.7 (clone(2)).

    Raises: OSError.
    """
    pidfd = ctypes.c_int(-1)
    flags |= _CLONE_PIDFD if cgroup_fd is None else _CLONE_PIDFD | _CLONE_INTO_CGROUP
    # flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
    # set_tid_size, cgroup
    args = struct.pack(
        "=11Q",
        flags,
        ctypes.addressof(pidfd),
        *(0, 0, 0 if flags & _CLONE_PARENT else _SIGCHLD, 0, 0, 0, 0, 0),
        cgroup_fd or 0,
    )
    pid = check(_gil_libc.syscall(SYS_CLONE3, args, len(args)))
    return (pid, pidfd.value) if pid else (0, -1)


def clone_sibling() -> int:
    """Fork into the pid namespace of children; the child is the sibling. Returns 0 in it.

    By clone(2): a filter that is in force has to refuse clone3(2), whose flags it cannot see.

    Raises: OSError.
    """
    return check(_gil_clone.syscall(_SYS_CLONE, _CLONE_PARENT, 0))


def fork() -> int:
    """Fork as os.fork does; here because forking has this one home."""
    return os.fork()


def unshare(flags: int) -> None:
    """Move the caller into new namespaces (unshare(2)). Raises: OSError."""
    check(libc.unshare(flags))


def setns(fd: int, flags: int) -> None:
    """Join the namespaces `flags` of a pidfd or namespace fd (setns(2)). Raises: OSError."""
    check(libc.setns(fd, flags))


def set_hostname(name: str) -> None:
    """Set the hostname of the caller's UTS namespace. Raises: OSError."""
    data = name.encode()
    check(libc.sethostname(data, len(data)))


def set_domainname(name: str) -> None:
    """Set the NIS domain name of the caller's UTS namespace. Raises: OSError."""
    data = name.encode()
    check(libc.setdomainname(data, len(data)))


def set_personality(persona: int) -> None:
    """Set the execution domain of the calling process (personality(2)). Raises: OSError."""
    check(libc.personality(persona))


def set_io_priority(io_class: int, priority: int, pid: int = 0) -> None:
    """Set the I/O priority of a thread, 0: the calling one (ioprio_set(2)). Raises: OSError."""
    check(ioprio_set(_IOPRIO_WHO_PROCESS, pid, io_class << 13 | priority))


def get_io_priority(pid: int) -> tuple[int, int]:
    """Return the I/O class and priority of a thread (ioprio_get(2)). Raises: OSError."""
    value = check(ioprio_get(_IOPRIO_WHO_PROCESS, pid))
    return value >> 13 & 7, value & 7


def set_memory_policy(mode: int, nodes: Sequence[int]) -> None:
    """Set the NUMA memory policy of the calling thread (set_mempolicy(2)). Raises: OSError."""
    size = (max(nodes, default=0) // 64 + 1) * 8
    mask = sum(1 << node for node in nodes).to_bytes(size, sys.byteorder)
    check(set_mempolicy(mode, mask if nodes else None, size * 8 + 1 if nodes else 0))


def set_scheduler(
    policy: int, flags: int, nice: int, priority: int, times_ns: tuple[int, int, int]
) -> None:
    """Set policy and attributes of the calling thread; `times_ns`: runtime, deadline, period.

    Source: sched_setattr(2). Raises: OSError.
    """
    attr = struct.pack("=IIQiI3Q", 48, policy, flags, nice, priority, *times_ns)
    check(sched_setattr(0, attr, 0))


def join_new_session_keyring(calls: Calls, jumps: Jumps) -> None:
    """Add to `calls` what gives the caller a session keyring of its own (keyctl(2))."""
    calls.add(SYS.keyctl, _KEYCTL_JOIN_SESSION_KEYRING, None, jumps=jumps)


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """Call prctl(2). Raises: OSError."""
    return check(libc.prctl(option, arg2, arg3, arg4, arg5))


def set_process_name(name: str) -> None:
    """Set the caller's comm, cut to 15 bytes (PR_SET_NAME). Raises: OSError."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    prctl(PR_SET_NAME, ctypes.addressof(buffer))


def close_on_exec_from(calls: Calls, first_fd: int) -> None:
    """Add to `calls` what marks every fd from `first_fd` on close-on-exec (close_range(2))."""
    calls.add(SYS.close_range, first_fd, 0x7FFFFFFF, CLOSE_RANGE_CLOEXEC)


def read_exit_status(pidfd: int) -> int | None:
    """Return the wait status of an ended process that need not be our child.

    None when the kernel cannot tell (before 6.15, or the process has not ended).
    Source: PIDFD_GET_INFO with PIDFD_INFO_EXIT, include/uapi/linux/pidfd.h.
    """
    buffer = bytearray(64)
    struct.pack_into("=Q", buffer, 0, _PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, buffer)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.ESRCH):
            return None
        raise
    if not struct.unpack_from("=Q", buffer)[0] & _PIDFD_INFO_EXIT:
        return None
    return int(struct.unpack_from("=i", buffer, _EXIT_CODE_OFFSET)[0])
