"""From what is desired and what is observed to the actions that make them equal.

Called by control with frozen values; returns one. Level-triggered: the plan depends on
nothing but its arguments, and a plan that was carried out leaves nothing more to plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from reconciler.errors import ErrorCode
from reconciler.model.action import (
    Action,
    Create,
    FieldChange,
    Plan,
    Recreate,
    Restart,
    Start,
    Wait,
    WaitKind,
)
from reconciler.model.spec import Spec, Suspend
from reconciler.model.value import Value
from reconciler.model.world import Desired, Failure, Observed, Problem, World
from reconciler.planning import backoff
from reconciler.planning.by_hand import suspension_of
from reconciler.planning.dependencies import Dependencies
from reconciler.planning.drift import enforced, find_changes, reported
from reconciler.planning.order import order_actions
from reconciler.planning.prune import PlanOptions, is_owned, plan_prune
from reconciler.planning.states import plan_existing

__all__ = ["Limits", "PlanOptions", "make_plan"]

Limits = Mapping[str, Mapping[str, Value]]
"""By container name: what the kernel would show for the spec's resources, by field path."""

_Step = Action | Wait | Problem | None

# A failed one of these is retried as whichever of them fits then.
_STARTS = frozenset({Create.verb, Recreate.verb, Start.verb, Restart.verb})


def make_plan(desired: Desired, world: World, desired_limits: Limits, options: PlanOptions) -> Plan:
    """Return the actions, at most one a container, in order; the waits; all problems.

    Problems are the loader's and the planner's own: NotOwned, PruneRefused, SourceEmpty,
    RecordCorrupt, CrashLoop.
    """
    pruned = plan_prune(desired, world, options)
    wanted = specs_in_force(desired, world)
    changes = find_changes(wanted, desired, world, desired_limits)
    steps: list[_Step] = [
        *desired.problems,
        *pruned.problems,
        *(problem for name, problem in sorted(world.unobserved.items()) if name not in wanted),
    ]
    suspended: dict[str, Suspend] = {}
    dependencies = Dependencies(wanted, desired, world)
    candidates: list[tuple[str, Spec | None, _Step]] = [
        *((step.name, None, step) for step in pruned.steps),
        *(
            (spec.name, spec, _plan_one(spec, desired, world, enforced(changes.get(spec.name, ()))))
            for spec in dependencies.in_order()
        ),
    ]
    for name, spec, step in candidates:
        suspend = suspension_of(spec, world.containers.get(name), world.now)
        if suspend is not None and not _is_not_owned(step):
            suspended[name] = suspend
            dependencies.suspend(name, suspend)
            steps.append(_until_resumed(name, suspend))
            continue
        own = step if spec is None else dependencies.restart_with(spec, step)
        held = own if own is None else _hold(own, world, options)
        steps.append(dependencies.settle(name, held))
    waits = [step for step in steps if isinstance(step, Wait)]
    problems = [step for step in steps if isinstance(step, Problem)]
    actions = [step for step in steps if isinstance(step, Action)]
    return Plan(
        actions=order_actions(actions, wanted, world.containers),
        waits=tuple(sorted(waits, key=_order)),
        problems=tuple(dict.fromkeys(problems)),
        suspended=suspended,
        reported=reported(changes),
        orphaned=frozenset(pruned.orphaned),
    )


def _is_not_owned(step: _Step) -> bool:
    return isinstance(step, Problem) and step.code == ErrorCode.NotOwned


def _until_resumed(name: str, suspend: Suspend) -> Wait | None:
    if suspend.until is None:
        return None
    reason = f"it is suspended: {suspend.describe()}"
    return Wait(name=name, until=suspend.until, reason=reason, kind=WaitKind.SUSPENDED)


def _order(wait: Wait) -> tuple[float, str]:
    return inf if wait.until is None else wait.until, wait.name


def specs_in_force(desired: Desired, world: World) -> dict[str, Spec]:
    """Return every spec in force: those of valid files, and the last good ones of invalid."""
    wanted = dict(desired.specs)
    for name in desired.invalid - desired.specs.keys():
        observed = world.containers.get(name)
        if observed is not None and observed.spec is not None and is_owned(observed, desired):
            wanted[name] = observed.spec
    return wanted


def _plan_one(
    spec: Spec, desired: Desired, world: World, changes: tuple[FieldChange, ...]
) -> Action | Wait | Problem | None:
    trouble = world.unobserved.get(spec.name)
    if trouble is not None:
        if trouble.code != ErrorCode.RecordCorrupt:
            return trouble
        return Recreate(name=spec.name, spec=spec, reason=trouble.message)
    observed = world.containers.get(spec.name)
    if observed is None:
        return Create(name=spec.name, spec=spec, reason="it does not exist")
    if observed.source != spec.source and not is_owned(observed, desired):
        return _not_owned(spec, observed)
    return plan_existing(spec, observed, changes, world)


def _not_owned(spec: Spec, observed: Observed) -> Problem:
    owner = observed.source or "somebody else, not the reconciler"
    message = (
        f"cannot manage {spec.name}: a container of that name belongs to {owner}; give one of the "
        f"two another name, or end the other for good: `reconciler destroy {spec.name}`"
    )
    return Problem.of(ErrorCode.NotOwned, message, spec)


def _hold(
    step: Action | Wait | Problem, world: World, options: PlanOptions
) -> Action | Wait | Problem:
    """Return a wait in place of an action that failed lately and has not changed since."""
    if isinstance(step, Wait | Problem) or options.retry_failed:
        return step
    failure = world.failures.get(step.name)
    if failure is None or not _is_same(failure, step):
        return step
    due = backoff.due_at(failure.at, step.spec.restart.backoff, failure.count, step.name)
    if backoff.is_due(failure.at, due, world.now):
        return step
    return Wait(
        name=step.name,
        until=due,
        reason=failure.problem.message,
        attempts=failure.count,
        is_retry=True,
    )


def _is_same(failure: Failure, action: Action) -> bool:
    if failure.spec_digest != action.spec.digest:
        return False
    return failure.verb == action.verb or {failure.verb, action.verb} <= _STARTS
