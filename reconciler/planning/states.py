"""The state table: what an existing container needs to become what its spec says.

Called by make_plan, for containers that the desired sources own. One action a pass: an Update
goes before a Pause or Resume, which follows in the next pass.

    desired \\ observed   created    running   pausing, paused   stopped
    running              Start      -         Resume            by policy (ended.py)
    paused               Start      Pause     -                 by policy (ended.py)
    stopped              -          Stop      Stop              -

A running Job is stopped when its deadline has passed, and until then that is waited for.

Where fields differ as well: recreate -> Recreate in every state; with processes, restart ->
Restart, live -> Update; without, the next start takes the new spec, or an Update records it.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.action import (
    Action,
    ChangeClass,
    FieldChange,
    Pause,
    Recreate,
    Restart,
    Resume,
    Start,
    StopAction,
    Update,
    Wait,
    WaitKind,
)
from reconciler.model.spec import NS, DesiredState, Kind, Spec
from reconciler.model.state import Status
from reconciler.model.world import Observed, Problem, RestartMemory
from reconciler.planning.by_hand import wanted_state
from reconciler.planning.ended import overdue_reason, plan_ended

_SPEC_CHANGED = "its spec changed"


def plan_existing(
    spec: Spec, observed: Observed, changes: tuple[FieldChange, ...], now: float
) -> Action | Wait | Problem | None:
    """Return the one next action, the wait, or None when all is as it should be."""
    if _has(changes, ChangeClass.RECREATE):
        return Recreate(name=spec.name, spec=spec, reason=_SPEC_CHANGED, changes=changes)
    if observed.status.has_processes():
        return _plan_alive(spec, observed, changes) or _plan_deadline(spec, observed, now)
    if spec.state is DesiredState.STOPPED:
        return _update(spec, changes, _SPEC_CHANGED)
    if observed.status is Status.CREATED:
        reason = "it was never started"
        return Start(name=spec.name, spec=spec, reason=reason, changes=changes)
    return plan_ended(spec, observed, changes, now)


def _plan_alive(spec: Spec, observed: Observed, changes: tuple[FieldChange, ...]) -> Action | None:
    wanted = wanted_state(spec, observed)
    reason = f"it is {observed.status}, not {wanted}"
    if wanted is DesiredState.STOPPED:
        return StopAction(name=spec.name, spec=spec, reason=reason, changes=changes)
    if _has(changes, ChangeClass.RESTART):
        memory = RestartMemory(count=observed.memory.count)
        return Restart(
            name=spec.name, spec=spec, reason=_SPEC_CHANGED, changes=changes, memory=memory
        )
    if _has(tuple(one for one in changes if one.field != "state"), ChangeClass.LIVE):
        return _update(spec, changes, _live_reason(spec, observed))
    if wanted is DesiredState.PAUSED and observed.status is Status.RUNNING:
        return Pause(name=spec.name, spec=spec, reason=reason, changes=changes)
    if wanted is DesiredState.RUNNING and observed.status is not Status.RUNNING:
        return Resume(name=spec.name, spec=spec, reason=reason, changes=changes)
    return _update(spec, changes, _SPEC_CHANGED)


def _plan_deadline(spec: Spec, observed: Observed, now: float) -> StopAction | Wait | None:
    """Return the stop of a job that has run for too long, or the wait until it will have."""
    if spec.kind is not Kind.JOB or spec.deadline_ns is None or observed.started_at is None:
        return None
    reason = overdue_reason(spec)
    until = observed.started_at + spec.deadline_ns / NS
    if until > now:
        waiting = "it is stopped when its deadline passes"
        return Wait(name=spec.name, until=until, reason=waiting, kind=WaitKind.DEADLINE)
    memory = replace(observed.memory, is_overdue=True)
    return StopAction(name=spec.name, spec=spec, reason=reason, memory=memory)


def _live_reason(spec: Spec, observed: Observed) -> str:
    if observed.spec is not None and observed.spec.config.resources == spec.config.resources:
        return "its limits were changed behind the reconciler's back"
    return _SPEC_CHANGED


def _update(spec: Spec, changes: tuple[FieldChange, ...], reason: str) -> Update | None:
    if not changes:
        return None
    return Update(name=spec.name, spec=spec, reason=reason, changes=changes)


def _has(changes: tuple[FieldChange, ...], change_class: ChangeClass) -> bool:
    return any(change.change_class is change_class for change in changes)
