"""Logs that are nobody's any more: kept for a week, then removed by a pass.

Nobody's is what has neither a record nor a file: its record was lost, or its file was removed
while the host was down. Called by the pass, for who holds the lock.
"""

from __future__ import annotations

import os

from reconciler.control.logs import log_failure, log_info
from reconciler.control.ports import EnginePort
from reconciler.errors import ReconcilerError
from reconciler.model.world import Desired, SourceStatus, World

LOGS_KEPT_S = 7 * 24 * 3600.0
_AFTER_BOOT_S = 3600.0  # until then containers of other sources may be still to come


def remove_old_logs(engine: EnginePort, desired: Desired, world: World) -> None:
    """Remove logs that were nobody's for a week, unless it is not known what is wanted."""
    is_settled = world.boot_s is not None and world.boot_s >= _AFTER_BOOT_S
    if not is_settled or any(one.status != SourceStatus.OK for one in desired.sources):
        return
    known = {*desired.specs, *desired.invalid, *world.containers, *world.unobserved}
    for name in _names_of_old(os.path.join(engine.state_dir, "logs"), known, world.now):
        try:
            engine.remove_data(name, ("logs",))
            log_info(f"removed the logs of {name}: nothing has had that name for a week")
        except ReconcilerError as error:
            log_failure(error)


def _names_of_old(directory: str, known: set[str], now: float) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            unknown = [one for one in entries if one.name not in known and one.is_dir()]
        return [one.name for one in unknown if _written_at(one.path) < now - LOGS_KEPT_S]
    except OSError:  # there are none yet, or somebody else removes them
        return []


def _written_at(directory: str) -> float:
    """Return when a directory, or something in it, was changed last."""
    with os.scandir(directory) as entries:
        return max([os.stat(directory).st_mtime, *(one.stat().st_mtime for one in entries)])
