"""Probes without a daemon: one round of what is due. Called by a one-shot pass.

Thresholds work over successive rounds, as what was found is on disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from reconciler.control.ports import EnginePort
from reconciler.control.probes.targets import targets_of
from reconciler.control.threads import run_tasks
from reconciler.model.world import Observed

if TYPE_CHECKING:
    from reconciler.control.probes.desk import Desk
    from reconciler.control.probes.schedule import Entry

THREADS = 16


def probe_due(engine: EnginePort, containers: Iterable[Observed]) -> bool:
    """Check every probe of these containers that is due, once; tell if a verdict has changed.

    What another process probes is left to it.
    """
    targets = list(targets_of(containers))
    if not targets:
        return False
    from reconciler.control.probes.desk import Desk  # with sockets: slow to load

    desk = Desk(engine, is_spread=False)
    try:
        desk.look_after(targets)
        has_changed = _check_due(desk)
        if has_changed:
            _check_due(desk)  # what has waited for a startup probe
        desk.save()
        return has_changed
    finally:
        desk.close()


def _check_due(desk: Desk) -> bool:
    changed: list[Entry] = []

    def work(entry: Entry) -> None:
        if desk.work(entry):
            changed.append(entry)

    run_tasks([partial(work, entry) for entry in desk.take_due()], THREADS)
    return bool(changed)
