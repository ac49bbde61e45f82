"""Which processes in a container's cgroup are not its own. Called by observe; reads /proc alone.

A container's own are those in the pid namespace of its init, and their descendants (they may
have made namespaces of their own). What the monitor is about to bring in is nobody's stranger.
Source: cgroups(7), pid_namespaces(7).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from reconciler.linux.proc import read_file, read_stat

_MAX_DEPTH = 64
_MONITOR = "reconciler-mon"


def find_strangers(init_pid: int, pids: Iterable[int]) -> tuple[str, ...]:
    """Return `4711 sh` for each of `pids` that is not of the container; none when it has ended."""
    others = [pid for pid in pids if pid != init_pid]
    if not others:
        return ()
    namespace, init = _namespace(init_pid), read_stat(init_pid)
    if namespace is None or init is None or namespace == _namespace(os.getpid()):
        return ()
    return tuple(
        f"{pid} {name}"
        for pid in sorted(others)
        if not _is_own(pid, namespace, init.parent_pid) and (name := _name(pid)) is not None
    )


def _is_own(pid: int, namespace: str, monitor_pid: int) -> bool:
    for depth in range(_MAX_DEPTH):
        if _namespace(pid) in (namespace, None):
            return True
        stat = read_stat(pid)
        if stat is None or not stat.is_alive():
            return True
        if depth == 0 and stat.parent_pid == monitor_pid and _name(monitor_pid) == _MONITOR:
            return True  # it has joined the cgroup, and is about to enter the namespace
        pid = stat.parent_pid
        if pid <= 1:
            break
    return False


def _namespace(pid: int) -> str | None:
    """Return the identity of a process's pid namespace, None when it has ended.

    None too for what may not be looked at, as an ordinary user's monitor and what it is about to
    bring in: nothing can be said of it. Source: proc(5), ptrace(2), access mode checking.
    """
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def _name(pid: int) -> str | None:
    try:
        return read_file(f"/proc/{pid}/comm").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
