"""Whom the OOM killer took: the container's init, or another process that init has outlived.

The kernel counts kills in a cgroup and does not say whose. So after each notice the monitor
looks, a little later, whether init lives on; what init has outlived does not explain its end.

    notice --> look, LOOK_S apart, at most LOOKS times --> count rose and init lives: outlived
                                                      '--> init ended: reaped, count unexplained
"""

from __future__ import annotations

import os
import time

from reconciler.lean import TYPE_CHECKING, signal
from reconciler.linux.proc import read_file

if TYPE_CHECKING:
    from reconciler.monitor.children import Child

LOOK_S = 0.05
LOOKS = 20
_RECENT_S = 1.0
_PF_EXITING = 0x4  # include/linux/sched.h
_SIGKILL_BIT = 1 << (signal.SIGKILL - 1)


class OomLooks:
    """The children to look at, and when."""

    def __init__(self) -> None:
        self._left: dict[Child, int] = {}
        self._due = 0.0

    def add(self, child: Child) -> None:
        """Look at a child soon."""
        if not self._left:
            self._due = time.monotonic() + LOOK_S
        self._left[child] = LOOKS

    def discard(self, child: Child) -> None:
        """Look at a child no more."""
        self._left.pop(child, None)

    def patience_s(self) -> float | None:
        """Return how long there is nothing to do, None for ever."""
        return max(0.0, self._due - time.monotonic()) if self._left else None

    def take_settled(self) -> list[Child]:
        """Look at each child that is due; return those that need not be looked at again."""
        if not self._left or time.monotonic() < self._due:
            return []
        self._due = time.monotonic() + LOOK_S
        settled = []
        for child in list(self._left):
            self._left[child] -= 1
            child.oom.drain()  # before the look, so that a kill after it is noticed again
            if child.has_outlived_oom() or self._left[child] == 0:
                settled.append(child)
                del self._left[child]
        return settled


def is_ending(pid: int) -> bool:
    """Tell whether a process has been killed, though it may not be gone yet (proc(5))."""
    try:
        stat = read_file(f"/proc/{pid}/stat")
        status = read_file(f"/proc/{pid}/status")
    except (FileNotFoundError, ProcessLookupError):
        return True
    flags = int(stat[stat.rindex(b")") + 2 :].split()[6])
    pending = (line for line in status.splitlines() if line.startswith((b"SigPnd:", b"ShdPnd:")))
    return bool(flags & _PF_EXITING) or any(int(line[7:], 16) & _SIGKILL_BIT for line in pending)


def is_oom_exit(wait_status: int | None, *, has_new_kills: bool, outlived_at: float | None) -> bool:
    """Tell whether want of memory explains how an init ended.

    A SIGKILL is the OOM killer's when it struck after init was last seen unhurt. A failure (a
    shell's 137) follows from a kill of another process when that was just before.
    `outlived_at` is the monotonic time of the last kill that init has outlived.
    """
    if wait_status is None:
        return False
    code = os.waitstatus_to_exitcode(wait_status)
    if code < 0:
        return code == -signal.SIGKILL and has_new_kills
    is_recent = outlived_at is not None and time.monotonic() - outlived_at < _RECENT_S
    return code > 0 and (has_new_kills or is_recent)
