"""What the daemon tells systemd: that it is ready, how it is, that it lives, reloads and stops.

Made by `watch`, which calls it in its loop; told of actions by the pass as its `Progress`. A sign
of life is sent by the loop and by the beginning and end of an action alone, never by a thread of
its own: a loop that hangs sends none. While actions go on within a pass systemd is asked for the
time that one may take; stops, which take a grace, go on beside the passes.
Source: sd_notify(3): WATCHDOG_USEC, EXTEND_TIMEOUT_USEC.
"""

from __future__ import annotations

import time
from _thread import allocate_lock
from collections import Counter
from typing import TYPE_CHECKING

from reconciler.control.progress import Progress
from reconciler.linux.notify import Notifier

if TYPE_CHECKING:
    from reconciler.control.report import PassReport
    from reconciler.errors import ReconcilerError
    from reconciler.model.action import Action

# What an action takes at most: the monitor's patience with a start.
_ACTION_S = 120.0
_SIGNS_IN_TIME = 3  # so many in the time that systemd waits for one


class Heart(Progress):
    """The daemon's words to systemd; safe from any thread. Nothing is sent where nobody listens."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._lock = allocate_lock()
        self._sent_at = 0.0
        self._patience_s = 0.0  # beyond the ordinary, as said last
        self._is_ready = False
        self._status = ""
        wait_s = notifier.watchdog_s
        self.interval_s = None if wait_s is None else wait_s / _SIGNS_IN_TIME

    def beat(self) -> None:
        """Tell that the loop goes round, as often as that is wanted."""
        if self.interval_s is None:
            return
        now = time.monotonic()
        with self._lock:
            is_due = now - self._sent_at >= self.interval_s / 2
            if is_due:
                self._sent_at = now
        if is_due:
            self._notifier.alive()

    def begin(self, action: Action) -> None:
        """Tell that we live, and ask for the patience that an action needs."""
        self.beat()
        self._expect_quiet(_ACTION_S)

    def end(self, action: Action) -> None:
        """Tell that we live."""
        self.beat()

    def on_reload(self) -> None:
        """Tell that everything is looked at anew; `on_pass_end` ends it."""
        self._is_ready = False
        self._notifier.reloading()

    def on_pass_end(self, result: PassReport | ReconcilerError) -> None:
        """Tell how it is; after the first pass, and one that was asked for, that we are ready."""
        self.beat()
        if not self._notifier.is_heard:
            return
        self._expect_quiet(0.0)
        status = describe_pass(result)
        if not self._is_ready:
            self._is_ready = True
            self._notifier.ready(status)
        elif status != self._status:
            self._notifier.status(status)
        self._status = status

    def on_stop(self) -> None:
        """Tell that the daemon ends."""
        self._notifier.stopping()

    def _expect_quiet(self, seconds: float) -> None:
        """Have systemd wait longer for the next sign of life, or, with 0, as ever."""
        watchdog_s = self._notifier.watchdog_s
        with self._lock:
            if seconds == self._patience_s:
                return
            self._patience_s = seconds
        usual_s = watchdog_s or 0.0
        if not self._is_ready and seconds:
            self._notifier.send(f"EXTEND_TIMEOUT_USEC={int((seconds + usual_s) * 1e6)}")
        if watchdog_s is not None:
            self._notifier.send(f"WATCHDOG_USEC={int((seconds + usual_s) * 1e6)}")


def describe_pass(result: PassReport | ReconcilerError) -> str:
    """Return how it is after a pass, in one line: counts by state, and the first problem."""
    from reconciler.errors import ReconcilerError

    if isinstance(result, ReconcilerError):
        return f"waiting: {result} ({result.code.name} {int(result.code)})"
    from reconciler.control.status import status_items

    states = Counter(str(item["state"]) for item in status_items(result))
    number = states.total()
    text = f"{number} container" + ("" if number == 1 else "s")
    if states:
        text += ": " + ", ".join(f"{states[state]} {state}" for state in sorted(states))
    problems = result.plan.problems
    if problems:
        others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        text += f"; problem: {problems[0].describe()}{others}"
    return text
