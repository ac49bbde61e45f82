"""Probes without a daemon: one round of what is due, or rounds until something is so.

Called by a one-shot pass. Thresholds work over successive rounds, as what was found is on disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from functools import partial

from reconciler.control.observe import observe_container
from reconciler.control.ports import EnginePort
from reconciler.control.probes.desk import Desk
from reconciler.control.probes.schedule import Entry
from reconciler.control.probes.targets import targets_of
from reconciler.control.threads import run_tasks
from reconciler.errors import ReconcilerError
from reconciler.model.world import Observed

THREADS = 16
# How often to look for what nobody tells: an end, what another process has found.
_LOOK_S = 0.1


def probe_due(engine: EnginePort, containers: Iterable[Observed]) -> bool:
    """Check every probe of these containers that is due, once; tell if a verdict has changed."""
    targets = list(targets_of(containers))
    if not targets:
        return False
    desk = Desk(engine, is_spread=False)
    try:
        desk.look_after(targets)
        return _make_round(desk)
    finally:
        desk.close()


def probe_until(
    engine: EnginePort,
    names: Collection[str],
    is_done: Callable[[], bool],
    timeout_s: float = 0.0,
) -> bool:
    """Check the probes of these containers when they are due until `is_done`, or time is over.

    Returns what `is_done` said last. It is asked after each round, of which there is at least
    one, and looks for itself: at the health that `observe` reads. What another process probes is
    left to it.
    """
    deadline = time.monotonic() + timeout_s
    desk = Desk(engine, is_spread=False)
    try:
        while True:
            desk.look_after(targets_of(_observe(engine, names)))
            _make_round(desk)
            now = time.monotonic()
            if is_done():
                return True
            if now >= deadline:
                return False
            next_due = desk.next_due()
            until = min(now + _LOOK_S, deadline, deadline if next_due is None else next_due)
            time.sleep(max(0.0, until - now))
    finally:
        desk.close()


def _make_round(desk: Desk) -> bool:
    """Check what is due and write down what was found; tell if a verdict has changed."""
    changed: list[Entry] = []

    def work(entry: Entry) -> None:
        if desk.work(entry):
            changed.append(entry)

    if due := desk.take_due():
        run_tasks([partial(work, entry) for entry in due], THREADS)
        desk.save()
    return bool(changed)


def _observe(engine: EnginePort, names: Collection[str]) -> list[Observed]:
    """Return what is there of these containers and can be looked at."""
    found = []
    for name in names:
        try:
            observed = observe_container(engine.handle(name))
        except ReconcilerError:  # the pass that follows tells
            continue
        if observed is not None:
            found.append(observed)
    return found
