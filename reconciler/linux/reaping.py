"""Collecting children that have ended, without waiting for whoever traces them.

Called by the monitor and by what launches without it. A child that a process of its container
traces (ptrace(2)) stays a zombie to its parent until the tracer has taken note of the end, which it
may never do. How it ended is in its stat by then (proc(5)).
"""

from __future__ import annotations

import os
import select

from reconciler.linux.proc import read_stat

_held: set[int] = set()


def collect(pid: int) -> int | None:
    """Return the wait status of a child that has ended; one that is held is collected later.

    None when it has not ended, or the kernel does not tell how.

    Raises: ChildProcessError when it is no child of ours.
    """
    if (status := _take(pid)) is not None:
        return status
    _held.add(pid)
    stat = read_stat(pid)
    return None if stat is None or stat.is_alive() else stat.exit_status


def is_child(pid: int) -> bool:
    """Tell whether a process is a child of ours, be it one that has ended."""
    if pid <= 0:
        return False
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (ChildProcessError, OverflowError):
        return False
    return True


def await_end(pid: int, pidfd: int, patience_s: float | None = None) -> int | None:
    """Wait for the end of a child, and collect it. Returns and raises as `collect`."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll(None if patience_s is None else patience_s * 1000)
    return collect(pid)


def has_held() -> bool:
    """Tell whether there are any to be collected later: nothing but time tells when."""
    return bool(_held)


def collect_held() -> None:
    """Collect those that are held no more: until then the init of their pids cannot end."""
    for pid in [*_held]:
        try:
            is_collected = _take(pid) is not None
        except ChildProcessError:
            is_collected = True
        if is_collected:
            _held.discard(pid)


def _take(pid: int) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    return status if done else None
