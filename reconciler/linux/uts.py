"""Host names of other UTS namespaces: read, and set. Cheap to import.

Called by the control loop. A thread of its own enters each namespace and ends there, so that no
other thread of the process is ever in a wrong one. Source: uts_namespaces(7), setns(2).
"""

from __future__ import annotations

import os

from reconciler.lean import Iterable
from reconciler.linux.inside import run_in_thread, set_namespace

_CLONE_NEWUTS = 0x4000000


def read_hostnames(pids: Iterable[int]) -> dict[int, str]:
    """Return the host name that each process sees; not of those that share ours or have ended.

    About 20 microseconds each. Raises: OSError where namespaces may not be entered.
    """
    wanted = list(pids)
    names: dict[int, str] = {}
    ours = os.stat("/proc/self/ns/uts")

    def read() -> None:
        for pid in wanted:
            try:
                fd = os.open(f"/proc/{pid}/ns/uts", os.O_RDONLY | os.O_CLOEXEC)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if _enter(fd, ours):
                names[pid] = os.uname().nodename

    if wanted:
        run_in_thread(read)
    return names


def write_hostname(process_fd: int, name: str) -> None:
    """Set the host name that a process sees; `process_fd` is its directory in /proc.

    Nothing is done where it shares ours. Raises: OSError.
    """
    from reconciler.linux.process import set_hostname

    def write() -> None:
        fd = os.open("ns/uts", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process_fd)
        if _enter(fd, os.stat("/proc/self/ns/uts")):
            set_hostname(name)

    run_in_thread(write)


def _enter(fd: int, ours: os.stat_result) -> bool:
    """Move this thread into a namespace, and close `fd`; False when it is the process's own."""
    try:
        if os.path.samestat(os.fstat(fd), ours):
            return False
        set_namespace(fd, _CLONE_NEWUTS)
        return True
    finally:
        os.close(fd)
