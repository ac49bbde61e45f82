"""The daemon's scheduler of probes: one thread that waits, and a few that check.

Called by the daemon's main thread. There is no thread before there is a probe, and no more
checking ones than there were checks to do at a time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from reconciler.control.ports import EnginePort
from reconciler.control.probes.desk import Desk
from reconciler.control.probes.schedule import Entry
from reconciler.control.probes.targets import targets_of
from reconciler.model.world import Observed

MAX_THREADS = 32


class ProbeScheduler:
    """Probes containers until `close`; `on_transition` is called, in any thread, after each
    change of a verdict.
    """

    def __init__(self, engine: EnginePort, on_transition: Callable[[], None]) -> None:
        self._desk = Desk(engine, is_spread=True)
        self._on_transition = on_transition
        lock = threading.Lock()  # guards what follows
        self._has_changed = threading.Condition(lock)  # when the next check is due
        self._has_work = threading.Condition(lock)
        self._queue: deque[Entry] = deque()
        self._threads = 0
        self._idle = 0
        self._waiter: threading.Thread | None = None
        self._is_closed = False

    def look_after(self, containers: Iterable[Observed]) -> None:
        """Probe these containers, and no others from now on."""
        self._desk.look_after(targets_of(containers))
        with self._has_changed:
            if self._waiter is None and self._desk.next_due() is not None:
                self._waiter = threading.Thread(target=self._wait, name="probes", daemon=True)
                self._waiter.start()
            self._has_changed.notify()

    def close(self) -> None:
        """Write down what was found and end; checks under way come to nothing."""
        with self._has_changed:
            self._is_closed = True
            self._queue.clear()
            self._has_changed.notify()
            self._has_work.notify_all()
        self._desk.save()
        self._desk.close()
        if self._waiter is not None:
            self._waiter.join()

    def _wait(self) -> None:
        """Hand out what is due, then wait for what is due next."""
        with self._has_changed:
            while not self._is_closed:
                self._hand_out(self._desk.take_due())
                due = self._desk.next_due()
                self._has_changed.wait(None if due is None else max(0.0, due - time.monotonic()))

    def _hand_out(self, entries: list[Entry]) -> None:
        self._queue += entries
        for _ in range(min(len(self._queue) - self._idle, MAX_THREADS - self._threads)):
            self._threads += 1
            self._idle += 1
            threading.Thread(target=self._check, name="probe", daemon=True).start()
        self._has_work.notify(len(entries))

    def _check(self) -> None:
        """Check one probe after the other."""
        while (entry := self._take()) is not None:
            is_transition = self._desk.work(entry)
            with self._has_changed:
                self._idle += 1
                self._has_changed.notify()  # it is due again some time
                if is_transition and not self._is_closed:
                    self._on_transition()

    def _take(self) -> Entry | None:
        with self._has_work:
            while not self._queue and not self._is_closed:
                self._has_work.wait()
            if self._is_closed:
                return None
            self._idle -= 1
            return self._queue.popleft()
