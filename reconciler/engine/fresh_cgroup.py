"""The cgroup of a new run: made anew with its limits, after what the last run has left is gone.

Called by Container.start.
"""

from __future__ import annotations

from reconciler.engine.failures import about
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import TYPE_CHECKING, Iterator, contextmanager
from reconciler.model.record import Record

if TYPE_CHECKING:
    from reconciler.engine.engine import Engine

_KILL_PATIENCE_S = 30.0


@contextmanager
def fresh_cgroup(engine: Engine, record: Record) -> Iterator[None]:
    """Have a cgroup with the limits and device rules, and take it back when what follows fails.

    Raises: LimitNotApplied, LimitNotSupported, MonitorUnavailable, MonitorLost; OSError.
    """
    driver, cgroups = engine.driver, record.cgroups
    engine.ensure_place()
    if driver.exists(cgroups):
        is_ours = cgroups == engine.handle(record.id).record.cgroups
        if is_ours and driver.is_populated(cgroups):
            _end_unrecorded(engine, record)
        # What it had belongs to the last run. And after a cgroup.kill Linux 6.18 kills
        # whatever is cloned into the same cgroup (its kill_seq is compared with the parent's).
        driver.remove(cgroups)
    driver.create(cgroups)
    try:
        with about(record.id, "start"):
            driver.apply(cgroups, record.config.resources, None)
            driver.control_devices(cgroups, record.config.isolation.device_rules)
        yield
    except BaseException as error:
        try:
            driver.kill(cgroups)
            driver.remove(cgroups)
        except OSError as second:
            error.add_note(f"and its cgroup cannot be removed: {second}")
        raise


def _end_unrecorded(engine: Engine, record: Record) -> None:
    """End a run that the record knows nothing of, as it was lost or damaged.

    And whatever else somebody has put there: status has told of it, and it would be in the way.
    """
    engine.driver.kill(record.cgroups)
    try:
        engine.launcher.wait(record.id, _KILL_PATIENCE_S)  # or it would refuse a second init
    except ReconcilerError as error:
        if error.code is not ErrorCode.ContainerNotRunning:
            raise
