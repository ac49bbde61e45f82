"""A new run in a cgroup made anew, after what the last run has left is gone.

Called by Container.start.
"""

from __future__ import annotations

import errno

from reconciler.cgroup import tree
from reconciler.engine.devices import rules_of
from reconciler.engine.failures import SetupFailed, about, translate_setup_failure
from reconciler.lean import TYPE_CHECKING, Any, Iterator, contextmanager, partial
from reconciler.model.record import Record

if TYPE_CHECKING:
    from reconciler.engine.engine import Engine

_KILL_PATIENCE_S = 30.0


@contextmanager
def fresh_cgroup(engine: Engine, record: Record) -> Iterator[None]:
    """Have a cgroup, and take it back when what follows fails.

    Raises: CgroupUnavailable, MonitorUnavailable, MonitorLost; OSError.
    """
    driver, cgroups = engine.driver, record.cgroups
    try:
        if not engine.has_given_cgroups:
            end_hooks(engine, record)
            _make_anew(engine, record)
        yield
    except BaseException as error:
        engine.store.remove_fifos(record.id)
        try:
            driver.kill(cgroups)
            driver.remove(cgroups)
        except OSError as second:
            error.add_note(f"and its cgroup cannot be removed: {second}")
        raise


def remove_cgroup(engine: Engine, record: Record) -> None:
    """Remove the cgroup with all that is in it; what is to run after the last run does so now.

    Raises: OSError.
    """
    if not tree.try_remove(record.cgroups):  # mostly nothing is left in it
        engine.driver.kill(record.cgroups)
        engine.driver.remove(record.cgroups)
    end_hooks(engine, record)


def _make_anew(engine: Engine, record: Record) -> None:
    """Make the cgroup, after what the last run has left is gone."""
    driver, cgroups = engine.driver, record.cgroups
    engine.ensure_place()
    is_ours = cgroups == engine.handle(record.id).record.cgroups
    if is_ours and driver.is_populated(cgroups):
        # A run that the record knows nothing of, as it was lost or damaged. And whatever else
        # somebody has put there: status has told of it, and it would be in the way.
        driver.kill(cgroups)
    # What there is of them, be it not all, belongs to the last run. And after a cgroup.kill
    # Linux 6.18 kills whatever is cloned into the same cgroup (its kill_seq is compared with
    # the parent's).
    driver.remove(cgroups)
    driver.create(cgroups)


def start_init(engine: Engine, record: Record, plan: dict[str, Any]) -> dict[str, Any]:
    """Have the init of a launch plan started; return what the launcher says of it.

    Its cgroup gets limits and device rules before it does anything. Where the record was lost the
    launcher may still have the init of the run before, wherever that was moved to. It has killed it
    when it refuses a second.

    Raises: the errors of a set-up; LimitNotApplied, LimitNotSupported, MonitorUnavailable,
    MonitorLost; OSError.
    """
    try:
        try:
            return _start_init(engine, record, plan)
        except SetupFailed as failure:
            if failure.step is not None or failure.errno != errno.EEXIST:
                raise
        engine.launcher.wait(record.id, _KILL_PATIENCE_S)
        return _start_init(engine, record, plan)
    except SetupFailed as failure:
        raise translate_setup_failure(failure, record) from failure


def _limit(engine: Engine, record: Record) -> None:
    with about(record.id, "start"):
        engine.driver.apply(record.cgroups, record.config.resources, None)
        engine.driver.control_devices(record.cgroups, rules_of(record.config.isolation))


def _start_init(engine: Engine, record: Record, plan: dict[str, Any]) -> dict[str, Any]:
    limit = partial(_limit, engine, record)
    if not plan["isAttended"]:
        return engine.launcher.start(plan, limit)
    from reconciler.engine import hooks

    with hooks.attended(engine, record) as streams:
        patience_s = hooks.patience_s(record.config.isolation.hooks)
        started = engine.monitor.start(plan, limit, streams, patience_s)
    hooks.run_poststart(engine, record, int(started["pid"]))
    return started


def end_hooks(engine: Engine, record: Record) -> None:
    """Run what is to run after the last run, if that has not been done."""
    if record.config.isolation.hooks.poststop:
        from reconciler.engine.hooks import run_poststop

        run_poststop(engine, record)
