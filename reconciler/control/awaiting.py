"""Wakes a one-shot pass when what it waits for may have come: an exit, a probe's verdict, a time.

Called by the pass between two looks. Nothing is lost between them: what happens after `Awaiting`
was made wakes the next `wait`.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from types import TracebackType
from typing import Self

from reconciler.control.logs import log_failure
from reconciler.control.ports import EnginePort, ExitsPort
from reconciler.control.probes.scheduler import ProbeScheduler
from reconciler.control.probes.targets import targets_of
from reconciler.control.report import PassReport
from reconciler.errors import ReconcilerError

# How often to look for what nobody tells: what another process' probes have found.
_LOOK_S = 1.0


class Awaiting:
    """Hears of exits and probes, and probes itself what no other process does."""

    def __init__(self, engine: EnginePort) -> None:
        self._engine = engine
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._exits: ExitsPort | None = None
        self._subscribe()
        self._probes = ProbeScheduler(engine, self._wake)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._probes.close()
        if self._exits is not None:
            self._exits.close()
        os.close(self._fd)

    def wait(self, report: PassReport, timeout_s: float) -> None:
        """Return once something has happened since the last time, or the time is over."""
        containers = report.probed()
        self._probes.look_after(containers)
        due = report.next_due()
        if due is not None:
            timeout_s = min(timeout_s, due - report.world.now)
        if self._exits is None or any(targets_of(containers)):
            timeout_s = min(timeout_s, _LOOK_S)
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if self._exits is not None:
            poll.register(self._exits.fileno(), select.POLLIN)
        poll.poll(max(0.0, timeout_s) * 1000 + 1)
        self._take_events()

    def _take_events(self) -> None:
        with suppress(BlockingIOError):  # no probe has woken us
            os.eventfd_read(self._fd)
        if self._exits is not None and self._exits.read() is None:
            self._exits.close()
            self._subscribe()

    def _subscribe(self) -> None:
        """Hear of exits; where that cannot be had, they are seen a little later."""
        self._exits = None
        try:
            self._exits = self._engine.exits()
        except ReconcilerError as error:
            log_failure(error)

    def _wake(self) -> None:
        os.eventfd_write(self._fd, 1)
