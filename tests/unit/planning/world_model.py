"""A model of the world: what a perfect engine makes of each action; and makers of test values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from reconciler.model.action import (
    Action,
    ChangeClass,
    Create,
    Destroy,
    Freeze,
    Pause,
    Plan,
    React,
    Recreate,
    Restart,
    Resume,
    Start,
    StopAction,
    Update,
)
from reconciler.model.config import Config, CpuLimits, MemoryLimits, PidsLimits, Resources
from reconciler.model.frozen import fields as model_fields
from reconciler.model.frozen import replace
from reconciler.model.spec import DesiredState, Origin, Spec
from reconciler.model.state import ExitStatus, Status
from reconciler.model.value import Value
from reconciler.model.world import (
    Desired,
    Observed,
    RestartMemory,
    Source,
    SourceStatus,
    World,
)

SOURCE = "/etc/specs"
NOW = 1_000_000.0
PAGE = 4096
# Rows of the table that no spec file has.
ENGINE_ONLY = {
    *("resources.cpu.quota", "resources.cpu.shares", "namespaces.mount"),
    *("resources.io.blkioWeight", "resources.io.blkioWeights"),
}


def make_spec(
    name: str = "web", *, digest: str = "d1", source: str = SOURCE, **fields: Any
) -> Spec:
    """Return a spec; fields of Config and of Spec alike are given by their own name."""
    known = {one.name for one in model_fields(Config)}
    of_config = {key: fields.pop(key) for key in list(fields) if key in known}
    config = Config(**{"command": ("/bin/server",), **of_config})
    origin = Origin(file=f"{source}/{name}.yaml")
    return Spec(name=name, config=config, origin=origin, digest=digest, **fields)


def make_resources(
    memory: int | None = None, pids: int | None = None, cpu: int | None = None
) -> Resources:
    return Resources(
        memory=MemoryLimits(max_bytes=memory),
        pids=PidsLimits(max=pids),
        cpu=CpuLimits(max_milli=cpu),
    )


def make_observed(spec: Spec, status: Status = Status.RUNNING, **fields: Any) -> Observed:
    """Return a container in `status` that is as `spec` says; `fields` replace what differs."""
    made = Observed(name=spec.name, status=status, config=spec.config, spec=spec)
    if status.has_processes():
        made = replace(made, pid=100, started_at=NOW - 3600, limits=limits_of(spec))
    if status is Status.STOPPED:
        made = replace(made, started_at=NOW - 3600, last_exit=make_exit(code=1))
    return replace(made, **fields)


def make_exit(code: int | None = 0, signal: int | None = None, at: float = NOW) -> ExitStatus:
    return ExitStatus(code=code, signal=signal, oom=False, at=at)


def make_desired(*specs: Spec, **fields: Any) -> Desired:
    status = SourceStatus.OK if specs else SourceStatus.EMPTY
    fields = {"sources": (Source(path=SOURCE, status=status),), **fields}
    return Desired(specs={spec.name: spec for spec in specs}, **fields)


def make_world(*containers: Observed, now: float = NOW, **fields: Any) -> World:
    return World(containers={one.name: one for one in containers}, now=now, **fields)


def limits_of(spec: Spec) -> dict[str, Value]:
    """Return what the model's kernel shows: whole pages, and no io limits at all."""
    resources = spec.config.resources
    memory = resources.memory.max_bytes
    return {
        "resources.memory.max": None if memory is None else memory // PAGE * PAGE,
        "resources.pids.max": resources.pids.max,
        "resources.cpu.max": resources.cpu.max_milli,
    }


def all_limits(desired: Desired, world: World) -> dict[str, Mapping[str, Value]]:
    """Return the canonical limits of all specs in force."""
    kept = {one.name: one.spec for one in world.containers.values() if one.spec is not None}
    return {name: limits_of(spec) for name, spec in (kept | dict(desired.specs)).items()}


def apply_plan(plan: Plan, world: World) -> World:
    """Return the world after every action of the plan has succeeded."""
    containers, corrupt = dict(world.containers), dict(world.unobserved)
    for action in plan.actions:
        after = _after(action, containers.get(action.name), world.now)
        corrupt.pop(action.name, None)
        containers.pop(action.name, None)
        if after is not None:
            after = _as_noted(after, action, world.containers.get(action.name))
            containers[action.name] = replace(after, runs=_runs(after, action, containers))
    return replace(world, containers=containers, unobserved=corrupt)


def _runs(
    after: Observed, action: Action, containers: Mapping[str, Observed]
) -> dict[str, float | None]:
    """Return the runs of dependencies that it is noted to have been started with."""
    is_started = isinstance(action, Create | Recreate | Start | Restart)
    known = {} if is_started else after.runs
    names = [one.name for one in action.spec.depends_on if one.restart]
    now = {name: containers[name].started_at if name in containers else None for name in names}
    return {name: known.get(name, at) for name, at in now.items()}


def _as_noted(after: Observed, action: Action, before: Observed | None) -> Observed:
    """Return it with the notes that outlive an action; what was paused by hand starts paused."""
    paused_at = None if before is None else before.paused_at
    frozen_at = action.at if isinstance(action, Freeze) else None
    is_started = isinstance(action, Create | Recreate | Start | Restart)
    if is_started and paused_at is not None and after.status is Status.RUNNING:
        after = replace(after, status=Status.PAUSED)
    return replace(after, paused_at=paused_at, frozen_at=frozen_at)


def _after(action: Action, before: Observed | None, now: float) -> Observed | None:
    match action:
        case Create() | Recreate():
            return _made(action.spec, now)
        case Destroy():
            return None
        case Freeze():
            assert before is not None
            is_alive = before.status.has_processes()
            return replace(before, status=Status.PAUSED) if is_alive else before
        case Start() | Restart():
            assert before is not None
            return _started(action.spec, action.memory, now)
        case Update() | React() | Pause() | Resume():
            assert before is not None
            return _adjusted(action, before)
        case StopAction():
            assert before is not None
            assert before.status.has_processes()
            stopped = make_observed(action.spec, Status.STOPPED, last_exit=make_exit(0, 15, now))
            memory = action.memory or replace(before.memory, is_stopped=True)
            return replace(stopped, memory=memory, started_at=before.started_at)
        case _:
            assert_never(action)


def _made(spec: Spec, now: float) -> Observed:
    if spec.state is DesiredState.STOPPED:
        return make_observed(spec, Status.CREATED)
    return _started(spec, RestartMemory(), now)


def _started(spec: Spec, memory: RestartMemory, now: float) -> Observed:
    status = Status.PAUSED if spec.state is DesiredState.PAUSED else Status.RUNNING
    return make_observed(spec, status, started_at=now, memory=memory)


_STATUS_AFTER = {"running": Status.RUNNING, "paused": Status.PAUSED}


def _live_state(action: Action) -> Value:
    """Return the state that an update brings about, None when that is not among its changes."""
    live = (one for one in action.changes if one.change_class is ChangeClass.LIVE)
    return next((one.desired for one in live if one.field == "state"), None)


def _adjusted(action: Update | React | Pause | Resume, before: Observed) -> Observed:
    after = replace(before, spec=action.spec, config=action.spec.config)
    match action:
        case Update() | React():
            if not before.status.has_processes():
                return after
            config = action.spec.config
            mended: dict[str, Value] = {
                "oomScoreAdj": config.oom_score_adj,
                "hostname": config.hostname or action.name,
            }
            limits = {**before.limits, **limits_of(action.spec)}
            status = _STATUS_AFTER.get(str(_live_state(action)), before.status)
            process = {**before.process, **mended}
            return replace(after, limits=limits, process=process, status=status)
        case Pause():
            assert before.status.has_processes()
            return replace(after, status=Status.PAUSED)
        case Resume():
            assert before.status in (Status.PAUSING, Status.PAUSED)
            return replace(after, status=Status.RUNNING)
