"""The state table: what an existing container needs to become what its spec says.

Called by make_plan, for containers that the desired sources own, with the changes that are to be
enforced. One action a pass.

    desired \\ observed   created    running   pausing, paused   stopped
    running              Start      -         Resume            by policy (ended.py)
    paused               Start      Pause     -                 by policy (ended.py)
    stopped              -          Stop      Stop              -

A running Job is stopped when its deadline has passed, and until then that is waited for. What
its startup or liveness probe finds failing is stopped too; both count as failures.

Where fields differ as well: recreate -> Recreate in every state; with processes, restart ->
Restart, live -> Update or, for a changed file, React; without, the next start takes the new
spec, or an Update records it.
"""

from __future__ import annotations

from reconciler.model.action import (
    Action,
    ChangeClass,
    FieldChange,
    Pause,
    React,
    Recreate,
    Restart,
    Resume,
    Start,
    StopAction,
    Update,
    Wait,
    WaitKind,
)
from reconciler.model.frozen import replace
from reconciler.model.health import Health
from reconciler.model.spec import NS, DesiredState, Kind, Spec
from reconciler.model.state import Status
from reconciler.model.world import Observed, Problem, RestartMemory, World
from reconciler.planning.backoff import CLOCK_SKEW_S
from reconciler.planning.by_hand import wanted_state
from reconciler.planning.ended import overdue_reason, plan_ended
from reconciler.planning.health import failed_probe
from reconciler.planning.process import CGROUP
from reconciler.planning.references import due_reactions, hold_references, is_of_reference

_SPEC_CHANGED = "its spec changed"


def plan_existing(
    spec: Spec,
    observed: Observed,
    changes: tuple[FieldChange, ...],
    world: World,
) -> Action | Wait | Problem | None:
    """Return the one next action, the wait, or None when all is as it should be."""
    step = _plan_existing(spec, observed, changes, world)
    if observed.frozen_at is not None and (step is None or isinstance(step, Wait | Problem)):
        spec = hold_references(spec, observed)
        return Update(name=spec.name, spec=spec, reason="its file is back")
    return step


def _plan_existing(
    spec: Spec,
    observed: Observed,
    changes: tuple[FieldChange, ...],
    world: World,
) -> Action | Wait | Problem | None:
    if _has(changes, ChangeClass.RECREATE):
        return Recreate(name=spec.name, spec=spec, reason=_SPEC_CHANGED, changes=changes)
    if observed.status.has_processes():
        return (
            _plan_alive(spec, observed, changes)
            or _plan_unhealthy(spec, observed, world.health.get(spec.name))
            or _plan_deadline(spec, observed, world)
        )
    if spec.state is DesiredState.STOPPED:
        return _update(spec, changes, _SPEC_CHANGED)
    if observed.status is Status.CREATED:
        reason = "it was never started"
        return Start(name=spec.name, spec=spec, reason=reason, changes=changes)
    return plan_ended(spec, observed, changes, world.now)


def _plan_alive(spec: Spec, observed: Observed, changes: tuple[FieldChange, ...]) -> Action | None:
    wanted = wanted_state(spec, observed)
    reason = f"it is {observed.status}, not {wanted}"
    if wanted is DesiredState.STOPPED:
        return StopAction(name=spec.name, spec=spec, reason=reason, changes=changes)
    if _has(changes, ChangeClass.RESTART):
        memory = RestartMemory(count=observed.memory.count)
        return Restart(
            name=spec.name, spec=spec, reason=_reason(changes), changes=changes, memory=memory
        )
    if reactions := due_reactions(spec, observed):
        if observed.status is Status.RUNNING and wanted is DesiredState.RUNNING:
            return React(
                name=spec.name,
                spec=spec,
                reason=f"a file has changed: {'; '.join(one.describe() for one in reactions)}",
                changes=changes,
                reactions=reactions,
            )
        spec = hold_references(spec, observed)
        changes = tuple(one for one in changes if not is_of_reference(one))
    if _has(tuple(one for one in changes if one.field != "state"), ChangeClass.LIVE):
        return _update(spec, changes, _reason(changes))
    if _has(changes, ChangeClass.LIVE):
        kind = Pause if wanted is DesiredState.PAUSED else Resume
        return kind(name=spec.name, spec=spec, reason=reason, changes=changes)
    return _update(spec, changes, _SPEC_CHANGED)


def _plan_unhealthy(spec: Spec, observed: Observed, health: Health | None) -> StopAction | None:
    """Return the stop of what its probes ask the end of; its restart policy does the rest."""
    reason = failed_probe(spec, observed, health)
    if reason is None:
        return None
    memory = replace(observed.memory, failed_probe=reason)
    return StopAction(name=spec.name, spec=spec, reason=reason, memory=memory)


def _plan_deadline(spec: Spec, observed: Observed, world: World) -> StopAction | Wait | None:
    """Return the stop of a job that has run for too long, or the wait until it will have."""
    if spec.kind is not Kind.JOB or spec.deadline_ns is None or observed.started_at is None:
        return None
    until = _start_by_the_clock(observed, observed.started_at, world) + spec.deadline_ns / NS
    if until > world.now:
        waiting = "it is stopped when its deadline passes"
        return Wait(name=spec.name, until=until, reason=waiting, kind=WaitKind.DEADLINE)
    memory = replace(observed.memory, is_overdue=True)
    return StopAction(name=spec.name, spec=spec, reason=overdue_reason(spec), memory=memory)


def _start_by_the_clock(observed: Observed, started_at: float, world: World) -> float:
    """Return when it was started by the wall clock as that is set now: it may have been moved."""
    if observed.began_s is None or world.boot_s is None:
        return started_at
    start = world.now - (world.boot_s - observed.began_s)
    return start if abs(start - started_at) > CLOCK_SKEW_S else started_at


def _reason(changes: tuple[FieldChange, ...]) -> str:
    if any(one.policy is None for one in changes):
        return _SPEC_CHANGED
    if any(one.field == CGROUP for one in changes):
        return "it was taken out of its cgroup behind the reconciler's back"
    what = "its limits were" if changes[0].field.startswith("resources.") else "it was"
    return f"{what} changed behind the reconciler's back"


def _update(spec: Spec, changes: tuple[FieldChange, ...], reason: str) -> Update | None:
    if not changes:
        return None
    return Update(name=spec.name, spec=spec, reason=reason, changes=changes)


def _has(changes: tuple[FieldChange, ...], change_class: ChangeClass) -> bool:
    return any(change.change_class is change_class for change in changes)
