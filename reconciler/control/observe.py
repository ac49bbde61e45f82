"""From the engine to a World: every container as its record and the kernel show it.

Called once a pass, so it is cheap: one record, one look at the process and the freezer, and
the limit files of what runs. One container that cannot be looked at is noted as such and
hides no other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from reconciler.cgroup.canonical import canonical_limits
from reconciler.cgroup.core import is_member
from reconciler.control.failures import read_failures
from reconciler.control.logs import log_failure
from reconciler.control.mounts import find_detached, find_unmounted
from reconciler.control.notes import (
    decode_frozen,
    decode_generation,
    decode_memory,
    decode_paused,
    decode_runs,
    decode_spec,
    decode_suspend,
)
from reconciler.control.ports import ContainerPort, EnginePort
from reconciler.control.probes.health_file import read_all_health
from reconciler.control.process import read_process
from reconciler.control.strangers import find_strangers
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.linux.proc import is_same_process, read_boot_id
from reconciler.linux.uts import read_hostnames
from reconciler.model.config import Resources
from reconciler.model.frozen import replace
from reconciler.model.record import Record
from reconciler.model.spec import Spec
from reconciler.model.state import ExitStatus, ProcessId, Status
from reconciler.model.value import Value
from reconciler.model.world import Failure, Observed, Problem, World

# The monitor notes an exit within moments of it; a moment too early it would seem unknown.
_EXIT_PATIENCE_S = 1.0


def observe(
    engine: EnginePort, clock: Callable[[], float], names: Iterable[str] | None = None
) -> World:
    """Return the world, and the wall-clock time in seconds at which it was so.

    `names`: of these containers alone, as far as they exist; but all failures.
    The time is taken after the look: an exit that is noted during it must not lie in the future.

    Raises: what listing records raises.
    """
    _ensure_monitor(engine)
    containers: dict[str, Observed] = {}
    unobserved: dict[str, Problem] = {}
    for name in engine.store.ids() if names is None else sorted(names):
        try:
            # A handle that has read nothing yet: its status() reads the record, once.
            observed = observe_container(engine.handle(name))
        except ReconcilerError as error:
            unobserved[name] = Problem.from_error(error)
        except OSError as error:  # /proc, which may say anything of a process that is not ours
            unobserved[name] = Problem.from_error(
                from_os_error(error, f"cannot look at the processes of {name}", container=name)
            )
        else:
            if observed is not None:
                containers[name] = observed
    return World(
        containers=_with_hostnames(containers),
        now=clock(),
        unobserved=unobserved,
        failures=_failures(engine.run_dir),
        health=read_all_health(engine.run_dir, containers.values()),
    )


def _with_hostnames(containers: dict[str, Observed]) -> dict[str, Observed]:
    """Add the host names of what runs, which are had together: each takes entering a namespace."""
    if os.geteuid() != 0:  # setns(2) into it takes CAP_SYS_ADMIN in our own user namespace too
        return containers
    pids = {one.pid: name for name, one in containers.items() if one.pid is not None}
    try:
        hostnames = read_hostnames(pids)
    except OSError as error:
        log_failure(from_os_error(error, "cannot look at the host names of the containers"))
        return containers
    for pid, hostname in hostnames.items():
        observed = containers[pids[pid]]
        process = {**observed.process, "hostname": hostname}
        containers[observed.name] = replace(observed, process=process)
    return containers


def _ensure_monitor(engine: EnginePort) -> None:
    """Replace a lost monitor, without which what runs cannot log and its exit is not known."""
    try:
        engine.ensure_monitor()
    except ReconcilerError as error:
        log_failure(error)


def observe_container(container: ContainerPort) -> Observed | None:
    """Return one container as it is now, None when it was destroyed meanwhile.

    The record is read anew, whatever the handle knows.

    Raises: RecordCorrupt, PermissionDenied, SystemError.
    """
    status = container.status()
    if status is Status.DESTROYED:
        return None
    record, init = container.record, container.record.init
    is_alive = status.has_processes()
    members = container.members() if is_alive else ()
    spec = decode_spec(record.id, record.annotations, record.config)
    return Observed(
        name=record.id,
        status=status,
        config=record.config,
        spec=spec,
        pid=init.pid if is_alive and init is not None else None,
        started_at=record.started_at,
        last_exit=_last_exit(container, record) if status is Status.STOPPED else record.last_exit,
        limits=_limits(container) if is_alive else {},
        process=read_process(init.pid, record.config) if is_alive and init else {},
        detached=find_detached(record.init.pid, spec) if is_alive and record.init else frozenset(),
        unmounted=find_unmounted(init.pid, record.config) if is_alive and init else (),
        memory=decode_memory(record),
        generation=decode_generation(record.annotations) or 1,
        suspend=decode_suspend(record.annotations),
        paused_at=decode_paused(record.annotations),
        runs=decode_runs(record.annotations),
        frozen_at=decode_frozen(record.annotations),
        strangers=find_strangers(init.pid, members) if is_alive and init else (),
        has_cgroup=not is_alive or init is None or _is_inside(init, record),
        is_rebooted=_is_rebooted(record),
    )


def _is_inside(init: ProcessId, record: Record) -> bool:
    """Tell whether an init is in its cgroup, for all that is known: it may have just ended."""
    return is_member(record.cgroups, init.pid) or not is_same_process(init.pid, init.start_ticks)


def _is_rebooted(record: Record) -> bool:
    """Tell whether it ran when the host went down: nobody saw it end."""
    init = record.init
    is_seen = record.exit is not None and record.exit.is_known()
    return not is_seen and init is not None and init.boot_id != read_boot_id()


def desired_limits(
    engine: EnginePort, specs: Mapping[str, Spec], world: World
) -> dict[str, dict[str, Value]]:
    """Return what the kernel would show for the specs of containers that it shows anything of."""
    wanted = {
        name: spec.config.resources
        for name, observed in world.containers.items()
        if observed.limits and (spec := specs.get(name, observed.spec)) is not None
    }
    if not wanted:
        return {}
    facts = engine.driver.facts()
    by_resources: dict[Resources, dict[str, Value]] = {}
    for resources in wanted.values():
        if resources not in by_resources:
            by_resources[resources] = canonical_limits(resources, facts)
    return {name: by_resources[resources] for name, resources in wanted.items()}


def _last_exit(container: ContainerPort, record: Record) -> ExitStatus | None:
    """Return how it ended, waiting for the monitor to have noted it: an exit decides much."""
    init = record.init
    if record.exit is not None or init is None or init.boot_id != read_boot_id():
        return record.exit
    try:
        return container.wait(_EXIT_PATIENCE_S)
    except ReconcilerError as error:
        log_failure(error)
        return None


def _limits(container: ContainerPort) -> Mapping[str, Value]:
    """Return the limits; none when the container ended while they were read."""
    try:
        return container.limits()
    except ReconcilerError as error:
        if error.code in (ErrorCode.ContainerDestroyed, ErrorCode.ContainerNotRunning):
            return {}
        if container.status().has_processes():
            raise
        return {}


def _failures(run_dir: str) -> dict[str, Failure]:
    try:
        return read_failures(run_dir)
    except ReconcilerError as error:
        log_failure(error)
        return {}
