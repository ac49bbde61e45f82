"""From the engine to a World: every container as its record and the kernel show it.

Called once a pass, so it is cheap: one record, one look at the process and the freezer, and
the limit files of what runs. One container that cannot be looked at is noted as such and
hides no other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from reconciler.cgroup.canonical import canonical_limits
from reconciler.cgroup.core import are_of
from reconciler.control.failures import read_failures
from reconciler.control.isolation import Host, has_left_mounts, wanted_parameters
from reconciler.control.logs import log_failure
from reconciler.control.mounts import find_detached, find_unmounted, read_mounts
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
from reconciler.control.weakened import find_weakened
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.linux.clock import boot_s
from reconciler.linux.inside import read_parameters
from reconciler.linux.proc import is_same_process, read_boot_id, read_file
from reconciler.linux.uts import read_hostnames
from reconciler.model.config import Resources
from reconciler.model.frozen import field, frozen
from reconciler.model.record import Record
from reconciler.model.spec import Spec
from reconciler.model.state import ExitStatus, ProcessId, Status
from reconciler.model.value import Value
from reconciler.model.world import Failure, Observed, Problem, Weakened, World
from reconciler.monitor.oom import is_ending

# The monitor notes an exit within moments of it; a moment too early it would seem unknown.
_EXIT_PATIENCE_S = 1.0


@frozen
class Look:
    """All that is looked at of one container; what is not of the record is the kernel's.

    `mounts` and `place` are /proc/PID/mountinfo and /proc/PID/cgroup of its init.
    """

    record: Record
    status: Status
    last_exit: ExitStatus | None
    limits: Mapping[str, Value] = field(default_factory=dict)
    process: dict[str, Value] = field(default_factory=dict)
    detached: frozenset[str] = frozenset()
    unmounted: tuple[str, ...] = ()
    weakened: tuple[Weakened, ...] = ()
    strangers: tuple[str, ...] = ()
    has_cgroup: bool = True
    mounts: bytes = b""
    place: str = ""

    def pid(self) -> int | None:
        """Return the pid of the init, None when it does not run."""
        init = self.record.init
        return init.pid if init is not None and self.status.has_processes() else None

    def began_s(self) -> float | None:
        """Return when the init that runs was started, in seconds since boot."""
        init = self.record.init if self.status.has_processes() else None
        if init is None or init.boot_id != read_boot_id():
            return None
        return init.start_ticks / os.sysconf("SC_CLK_TCK")

    def is_whole(self) -> bool:
        """Tell whether all its mounts were as they are to be."""
        return not (self.unmounted or self.weakened)

    def understand(self) -> Observed:
        """Return what that says of the container."""
        record, notes = self.record, self.record.annotations
        return Observed(
            name=record.id,
            status=self.status,
            config=record.config,
            spec=decode_spec(record.id, notes, record.config),
            pid=self.pid(),
            started_at=record.started_at,
            began_s=self.began_s(),
            last_exit=self.last_exit,
            limits=self.limits,
            process=self.process,
            detached=self.detached,
            unmounted=self.unmounted,
            weakened=self.weakened,
            memory=decode_memory(record),
            generation=decode_generation(notes) or 1,
            suspend=decode_suspend(notes),
            paused_at=decode_paused(notes),
            runs=decode_runs(notes),
            frozen_at=decode_frozen(notes),
            strangers=self.strangers,
            has_cgroup=self.has_cgroup,
            is_rebooted=_is_rebooted(record),
        )


class Seen(NamedTuple):
    """What was looked at of one container, and what it was found to be.

    Where a later look sees the same, nothing is to be understood anew.
    """

    look: Look
    observed: Observed


def observe(
    engine: EnginePort,
    clock: Callable[[], float],
    names: Iterable[str] | None = None,
    seen: dict[str, Seen] | None = None,
    boot_clock: Callable[[], float] = boot_s,
) -> World:
    """Return the world, and the time at which it was so, by both clocks.

    `names`: of these containers alone, as far as they exist; but all failures.
    The time is taken after the look: an exit that is noted during it must not lie in the future.
    `seen` is what was seen before; it becomes what is seen now.

    Raises: what listing records raises.
    """
    _ensure_monitor(engine)
    seen = {} if seen is None else seen
    looks: dict[str, Look] = {}
    host = Host((engine.run_dir, engine.state_dir))
    unobserved: dict[str, Problem] = {}
    asked = engine.store.ids() if names is None else sorted(names)
    for name in asked:
        try:
            # A handle that has read nothing yet: its status() reads the record, once.
            look = look_at(engine.handle(name), seen.get(name), host)
        except ReconcilerError as error:
            unobserved[name] = Problem.from_error(error)
        except OSError as error:  # /proc, which may say anything of a process that is not ours
            unobserved[name] = Problem.from_error(
                from_os_error(error, f"cannot look at the processes of {name}", container=name)
            )
        else:
            if look is not None:
                looks[name] = look
    _add_names(looks)
    containers = _understand(looks, seen)
    for name in (seen.keys() if names is None else set(asked)) - looks.keys():
        seen.pop(name, None)
    return World(
        containers=containers,
        now=clock(),
        boot_s=boot_clock(),
        unobserved=unobserved,
        failures=_failures(engine.run_dir),
        health=read_all_health(engine.run_dir, containers.values()),
    )


def _understand(looks: dict[str, Look], seen: dict[str, Seen]) -> dict[str, Observed]:
    containers: dict[str, Observed] = {}
    for name, look in looks.items():
        known = seen.get(name)
        if known is None or known.look.record is not look.record or known.look != look:
            seen[name] = known = Seen(look, look.understand())
        containers[name] = known.observed
    return containers


def _add_names(looks: dict[str, Look]) -> None:
    """Add the host names of what runs, and kernel parameters of what has some of its own.

    They are had together, as each takes entering namespaces. A difference of spelling is none.
    """
    if os.geteuid() != 0:  # setns(2) into them takes CAP_SYS_ADMIN in our own user namespace too
        return
    pids = {pid: look for look in looks.values() if (pid := look.pid()) is not None}
    wanted = {pid: wanted_parameters(look.record.config) for pid, look in pids.items()}
    try:
        hostnames = read_hostnames(pids)
        parameters = read_parameters({pid: names for pid, names in wanted.items() if names})
    except OSError as error:
        log_failure(from_os_error(error, "cannot look at the host names of the containers"))
        return
    for pid, hostname in hostnames.items():
        pids[pid].process["hostname"] = hostname
    for pid, values in parameters.items():
        pids[pid].process.update({wanted[pid][name]: text for name, text in values.items()})


def _ensure_monitor(engine: EnginePort) -> None:
    """Replace a lost monitor, without which what runs cannot log and its exit is not known."""
    try:
        engine.ensure_monitor()
    except ReconcilerError as error:
        log_failure(error)


def observe_container(container: ContainerPort) -> Observed | None:
    """Return one container as it is now, None when it was destroyed meanwhile.

    The record is read anew, whatever the handle knows; host name and kernel parameters are not
    looked at.

    Raises: RecordCorrupt, PermissionDenied, SystemError.
    """
    look = look_at(container)
    return None if look is None else look.understand()


def look_at(
    container: ContainerPort, known: Seen | None = None, host: Host | None = None
) -> Look | None:
    """Look at one container; None when it was destroyed meanwhile. Raises: as observe_container."""
    status = container.status()
    if status is Status.DESTROYED:
        return None
    record, init = container.record, container.record.init
    if init is None or not status.has_processes():
        ended = _last_exit(container, record) if status is Status.STOPPED else record.last_exit
        return Look(record=record, status=status, last_exit=ended)
    mounts, place = read_mounts(init.pid, record.config), _read_place(init.pid)
    before = known.look if known is not None and known.look.record is record else None
    is_whole = before is not None and before.mounts == mounts and before.is_whole()
    is_inside = before is not None and before.place == place and before.has_cgroup
    process = read_process(init.pid, record.config, host, before.process if before else {})
    if has_left_mounts(record.config, process):
        mounts = b""
    return Look(
        record=record,
        status=status,
        last_exit=record.last_exit,
        limits=_limits(container),
        process=process,
        detached=find_detached(init.pid, _spec_of(record, known)),
        unmounted=() if is_whole else find_unmounted(init.pid, record.config, mounts),
        weakened=()
        if is_whole
        else find_weakened(init.pid, record.config, mounts, host.hidden if host else ()),
        strangers=find_strangers(init.pid, container.members()),
        has_cgroup=is_inside or _is_inside(init, record, place),
        mounts=mounts,
        place=place,
    )


def _spec_of(record: Record, known: Seen | None) -> Spec | None:
    """Return the noted spec of what has mounts, whose files may be replaced."""
    if not record.config.mounts:
        return None
    if known is not None and known.look.record is record:
        return known.observed.spec
    return decode_spec(record.id, record.annotations, record.config)


def _read_place(pid: int) -> str:
    """Return an init's /proc/PID/cgroup, nothing when it has ended."""
    try:
        return read_file(f"/proc/{pid}/cgroup").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _is_inside(init: ProcessId, record: Record, place: str) -> bool:
    """Tell whether an init is in its cgroup, for all that is known: it may have just ended.

    One that is ending has left its cgroups before it is a zombie.
    """
    if are_of(record.cgroups, place):
        return True
    return is_ending(init.pid) or not is_same_process(init.pid, init.start_ticks)


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
