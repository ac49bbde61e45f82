"""Children that nobody knows: of a joiner that was killed before it could tell whom it had cloned.

Part of the monitor's loop. Until such a one is collected, the init of its pids cannot end
(pid_namespaces(7)).
"""

from __future__ import annotations

import os

from reconciler.lean import Callable, Collection, suppress
from reconciler.linux.proc import read_file, read_stat
from reconciler.monitor.inits import kill_and_reap


class Strays:
    """Looks for them once one may be there; nothing is done until then.

    `known` gives the pids of the children that are not strays; while `is_launching` there may be
    others that live and are none.
    """

    def __init__(
        self, known: Callable[[], Collection[int]], is_launching: Callable[[], bool]
    ) -> None:
        self._known = known
        self._is_launching = is_launching
        self._is_wanted = False

    def look(self) -> None:
        """Have the next `collect` look."""
        self._is_wanted = True

    def collect(self) -> None:
        """Kill and collect the children that are not known. Raises: OSError."""
        if not self._is_wanted:
            return
        is_launching = self._is_wanted = self._is_launching()
        for pid in set(_children()).difference(self._known()):
            stat = read_stat(pid)
            if is_launching and stat is not None and stat.is_alive():
                continue  # looked at again
            with suppress(ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                try:
                    kill_and_reap(pid, pidfd)
                finally:
                    os.close(pidfd)


def _children() -> list[int]:
    try:
        return [int(pid) for pid in read_file(f"/proc/self/task/{os.getpid()}/children").split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return []
