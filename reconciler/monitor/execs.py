"""A further process in a running container.

It lives no longer than its client's connection, unless it `lasts` and has told its pid.
"""

from __future__ import annotations

import os

from reconciler.lean import Any, Callable, Collection, socket, suppress
from reconciler.linux.reaping import collect, is_child
from reconciler.monitor.children import make_exit
from reconciler.monitor.inits import kill_and_reap
from reconciler.monitor.launch import Launched, parse_status, read_status


class Exec:
    """One process joined to a container. `pid` is 0 and `pidfd` -1 until it is known to run.

    `others` gives the pids of children that are not it, whatever its set-up says; `on_lost` is
    called where it may run although nobody has told its pid.
    """

    def __init__(
        self,
        sock: socket.socket,
        launched: Launched,
        others: Callable[[], Collection[int]],
        on_lost: Callable[[], None],
        *,
        lasts: bool,
    ) -> None:
        self.sock = sock
        self.lasts = lasts
        self._others = others
        self._on_lost = on_lost
        self.status_fd = launched.status_fd
        self.pid = 0
        self.pidfd = -1
        self._joiner: tuple[int, int] | None = (launched.pid, launched.pidfd)
        self._said = b""

    def pids(self) -> set[int]:
        """Return the pids of the children that are its: the process, or the joiner before it."""
        return {self.pid, self._joiner[0] if self._joiner is not None else 0}

    def read_status(self) -> bool:
        """Read what the set-up says; return whether it is over."""
        self._said, is_all = read_status(self.status_fd, self._said)
        return is_all

    def finish_launch(self) -> dict[str, Any] | None:
        """Collect the joiner and take over the process; return the failure where a step failed."""
        self._reap_joiner()
        os.close(self.status_fd)
        self.status_fd = -1
        pid, failure = parse_status(self._said)
        if pid is not None and is_child(pid) and pid not in self._others():
            self.pid, self.pidfd = pid, os.pidfd_open(pid)
        elif failure is None:
            self._on_lost()
            text = "the process was killed before it ran"
            failure = {"step": None, "kind": None, "errno": 3, "path": None, "text": text}
        return failure

    def can_do_without_client(self) -> bool:
        """Tell whether it goes on though nobody waits for it; it is collected when it ends."""
        return self.lasts and self.pidfd >= 0

    def reap(self) -> dict[str, Any]:
        """Collect the ended process; return its exit as in a run file."""
        status = collect(self.pid)
        os.close(self.pidfd)
        self.pid, self.pidfd = 0, -1
        return make_exit(status)

    def close(self) -> None:
        """Kill what is left and close everything."""
        self._reap_joiner()
        if self.status_fd >= 0:
            with suppress(BlockingIOError):
                self.read_status()
            self.finish_launch()
        if self.pidfd >= 0:
            kill_and_reap(self.pid, self.pidfd)
            os.close(self.pidfd)
            self.pidfd = -1

    def _reap_joiner(self) -> None:
        if self._joiner is not None:
            pid, pidfd = self._joiner
            kill_and_reap(pid, pidfd)
            os.close(pidfd)
            self._joiner = None
