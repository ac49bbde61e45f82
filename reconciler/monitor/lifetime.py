"""How long the monitor lives: until idle for a while or told to end; and its signs of life.

Part of the monitor's loop. On SIGTERM it ends in order and leaves the containers running for the
next monitor to adopt: systemd sends that for a stop or restart of the unit, `install` for taking
over from one that was started on demand.
"""

from __future__ import annotations

import time

from reconciler.lean import TYPE_CHECKING, Iterable, signal, socket
from reconciler.linux.notify import Notifier

if TYPE_CHECKING:
    from types import FrameType

_SIGNS_IN_TIME = 3  # so many in the time that systemd waits for one


class Lifetime:
    """When to give a sign of life and when to end; `linger_s`: how long it stays idle."""

    def __init__(self, linger_s: float, notifier: Notifier) -> None:
        self.linger_s = linger_s
        self.is_told_to_end = False
        self._notifier = notifier
        watchdog_s = notifier.watchdog_s
        self._interval_s = None if watchdog_s is None else watchdog_s / _SIGNS_IN_TIME
        self._sign_due = time.monotonic()
        self._idle_since: float | None = None
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        # A handler of Python's runs between two steps of a program, so that one that comes just
        # before epoll_wait would not end it; what C writes here does.
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def fileno(self) -> int:
        """Return the descriptor that is readable once a signal has come."""
        return self._reader.fileno()

    def take_signals(self) -> bool:
        """Take note of what has come, and tell whether it is told to end."""
        self._reader.recv(64)
        if self.is_told_to_end:
            self._notifier.stopping()
        return self.is_told_to_end

    def is_over(self, *, is_idle: bool) -> bool:
        """Tell whether it has been idle for long enough."""
        if not is_idle:
            self._idle_since = None
            return False
        now = time.monotonic()
        if self._idle_since is None:
            self._idle_since = now
        return now - self._idle_since >= self.linger_s

    def patience_s(self, others_s: Iterable[float | None]) -> float | None:
        """Return how long there is nothing to do, None for ever; `others_s`: for the others."""
        now = time.monotonic()
        waits = [one for one in others_s if one is not None]
        if self._idle_since is not None:
            waits.append(self._idle_since + self.linger_s - now)
        if self._interval_s is not None:
            waits.append(self._sign_due - now)
        return max(0.0, min(waits)) if waits else None

    def beat(self) -> None:
        """Give a sign of life if one is due: the loop goes round."""
        if self._interval_s is not None and time.monotonic() >= self._sign_due:
            self._notifier.alive()
            self._sign_due = time.monotonic() + self._interval_s

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        """Take note of it; in a child that is about to be set up there is no such handler."""
        self.is_told_to_end = True
