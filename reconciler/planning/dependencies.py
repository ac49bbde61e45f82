"""What a container waits for before it starts, and when it restarts with what it depends on.

Called by make_plan, with each step in an order in which dependencies come first. A container is
started when all that it depends on is as it asks for, or will be by an action of the same plan
that is carried out before. One that runs is left alone, whatever becomes of its dependencies,
unless it declares `restart`: then each of their runs but the one that it was started with (which
its record notes, so that no clock matters) asks for a restart, as soon as it could start. Where
this plan ends the run of a dependency, it is stopped before, and the next pass starts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from reconciler.model.action import (
    Action,
    Create,
    Destroy,
    FieldChange,
    Freeze,
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
from reconciler.model.spec import (
    Dependency,
    DependencyCondition,
    DesiredState,
    Kind,
    RestartPolicy,
    Spec,
    Suspend,
)
from reconciler.model.state import Status
from reconciler.model.world import Desired, Observed, Problem, World
from reconciler.planning.by_hand import wanted_state
from reconciler.planning.health import readiness_of
from reconciler.planning.order import dependency_order, graph_of

_Step = Action | Wait | Problem | None

_MAX_HINTS = 10  # so many unknown names get a suggestion, each of which takes its time


class _Unmet(NamedTuple):
    """Why a condition is not fulfilled; whether it may come to be without anybody's help."""

    why: str
    can_come: bool = False


class Dependencies:
    """The steps of one plan as far as it is made, and what they mean for those that follow."""

    def __init__(self, wanted: Mapping[str, Spec], desired: Desired, world: World) -> None:
        self._wanted = wanted
        self._invalid = desired.invalid
        self._world = world
        self._steps: dict[str, _Step] = {}
        self._suspended: dict[str, Suspend] = {}
        self._hints: dict[str, str] = {}
        self._ending: set[str] = set()  # whose run this plan ends, to begin another

    def in_order(self) -> list[Spec]:
        """Return all wanted specs, each after those that it depends on."""
        if not any(spec.depends_on for spec in self._wanted.values()):
            return list(self._wanted.values())
        order = dependency_order(graph_of(self._wanted.values()))
        return [self._wanted[name] for name in order]

    def suspend(self, name: str, suspend: Suspend) -> None:
        """Note that nothing is done to a container."""
        self._suspended[name] = suspend

    def settle(self, name: str, step: _Step) -> _Step:
        """Return the step, or the wait in place of a start whose time has not come."""
        if isinstance(step, Create | Recreate | Start | Restart) and _starts(step):
            step = self._admit(step)
        self._steps[name] = step
        if self._ends_run(step):
            self._ending.add(name)
        return step

    def restart_with(self, spec: Spec, step: _Step) -> _Step:
        """Return the restart that new runs of dependencies ask for, else the step.

        What else is to be done to a container goes first while it could not be started.
        """
        observed = self._world.containers.get(spec.name) if spec.depends_on else None
        if observed is None or not _may_be_restarted(spec, observed, step):
            return step
        names = [
            one.name
            for one in spec.depends_on
            if one.restart and self._has_new_run(one.name, observed)
        ]
        known = self._ending & observed.runs.keys()
        ending = [one.name for one in spec.depends_on if one.restart and one.name in known]
        if ending:
            return StopAction(
                name=spec.name,
                spec=observed.spec or spec,
                reason=f"it restarts with {', '.join(ending)}: it stops before and starts after",
                is_to_restart=True,
            )
        if not names or (step is not None and self._find_unmet(spec)):
            return step
        return Restart(
            name=spec.name,
            spec=spec,
            reason=f"it restarts with {', '.join(names)}",
            changes=step.changes if isinstance(step, Update | React) else (),
            memory=replace(observed.memory, is_stopped=False, is_overdue=False),
        )

    def _ends_run(self, step: _Step) -> bool:
        """Tell whether a step ends a run to begin another, now or in the next pass.

        One that failed lately may fail again before it comes to that.
        """
        if isinstance(step, StopAction):
            return step.is_to_restart
        if not isinstance(step, Restart | Recreate) or step.name in self._world.failures:
            return False
        return _runs(self._world.containers.get(step.name)) and _starts(step)

    def _has_new_run(self, name: str, dependent: Observed) -> bool:
        """Tell whether a dependency has, or will have, another run than the dependent knows."""
        if name not in dependent.runs:
            return False
        if self._is_started_here(name):
            return True
        observed = self._world.containers.get(name)
        if observed is None or observed.started_at is None:
            return False
        return observed.started_at != dependent.runs[name]

    def _admit(self, action: Create | Recreate | Start | Restart) -> Action | Wait:
        unmet = self._find_unmet(action.spec)
        if unmet:
            return Wait(
                name=action.name,
                until=None,
                reason="; ".join(
                    f"it waits for {one.name} to be {one.condition}: {found.why}"
                    for one, found in unmet
                ),
                kind=WaitKind.DEPENDENCY,
                can_come=all(found.can_come for _, found in unmet),
            )
        names = (one.name for one in action.spec.depends_on)
        before = [step for name in names if (step := self._started_here(name)) is not None]
        if not before:
            return action
        wave = 1 + max(step.wave for step in before)
        return replace(action, wave=wave, after=tuple(step.name for step in before))

    def _find_unmet(self, spec: Spec) -> list[tuple[Dependency, _Unmet]]:
        found = ((one, self._check(one)) for one in spec.depends_on)
        return [(one, unmet) for one, unmet in found if unmet is not None]

    # --- one dependency

    def _is_started_here(self, name: str) -> bool:
        step = self._started_here(name)
        return step is not None and not isinstance(step, Resume)

    def _started_here(self, name: str) -> Action | None:
        """Return the action of this plan after which a container runs that does not run now."""
        step = self._steps.get(name)
        if not isinstance(step, Create | Recreate | Start | Restart | Resume):
            return None
        observed = self._world.containers.get(name)
        wanted = step.spec.state if observed is None else wanted_state(step.spec, observed)
        return step if wanted is DesiredState.RUNNING else None

    def _check(self, one: Dependency) -> _Unmet | None:
        """Return why a dependency is not as it has to be once the steps so far are done."""
        observed = self._world.containers.get(one.name)
        spec = self._wanted.get(one.name) or (None if observed is None else observed.spec)
        if spec is None and observed is None:
            return self._unknown(one.name)
        if one.condition is DependencyCondition.COMPLETED and spec and _never_completes(spec):
            why = "restart.policy always starts it again whenever it ends"
            return _Unmet(f"{why}; make it `kind: Job`")
        if self._started_here(one.name) is not None:
            return _check_started(one, spec)
        step = self._steps.get(one.name)
        if left := _left_by(step, observed):
            return _Unmet(f"it is to be {left}")
        blocked = None if _runs(observed) else self._blocked(one.name, step)
        if blocked is not None:
            return blocked
        return self._check_observed(one.condition, spec, observed)

    def _blocked(self, name: str, step: _Step) -> _Unmet | None:
        """Return what keeps a container from running that is to run."""
        if name in self._suspended:
            return _Unmet(f"it is suspended: {self._suspended[name].describe()}")
        if isinstance(step, Problem):
            return _Unmet(step.message)
        if isinstance(step, Wait) and step.kind is WaitKind.DEPENDENCY:
            return _Unmet(f"it waits in turn, `reconciler why {name}` tells why", step.can_come)
        if isinstance(step, Wait) and step.kind is WaitKind.BACKOFF:
            has_failed = name in self._world.failures  # it did not end, it could not be started
            return _Unmet(f"{step.reason}; it is tried again", can_come=not has_failed)
        return None

    def _check_observed(
        self, condition: DependencyCondition, spec: Spec | None, observed: Observed | None
    ) -> _Unmet | None:
        if observed is None:
            return _Unmet(_why_not_running(spec, observed))
        if observed.status is Status.RUNNING:
            if condition is DependencyCondition.COMPLETED:
                return _Unmet("it still runs", can_come=True)
            if condition is DependencyCondition.STARTED or spec is None:
                return None
            readiness = readiness_of(spec, observed, self._world.health.get(spec.name))
            return None if readiness.is_ready else _Unmet(readiness.message, can_come=True)
        if condition is not DependencyCondition.READY and _has_completed(spec, observed):
            return None  # for `started` too: a short job may end before anybody looks
        return _Unmet(_why_not_running(spec, observed))

    def _unknown(self, name: str) -> _Unmet:
        if name in self._world.unobserved:
            return _Unmet(self._world.unobserved[name].message)
        if name in self._invalid:
            return _Unmet("its file is invalid")
        return _Unmet(f"no file gives this name{self._hint(name)}")

    def _hint(self, name: str) -> str:
        if name not in self._hints and len(self._hints) < _MAX_HINTS:
            from difflib import get_close_matches

            near = get_close_matches(name, self._wanted.keys() | self._world.containers.keys(), n=1)
            self._hints[name] = f"; did you mean {near[0]}?" if near else ""
        return self._hints.get(name, "")


def _starts(action: Action) -> bool:
    return action.spec.state is not DesiredState.STOPPED


def _left_by(step: _Step, observed: Observed | None) -> str | None:
    """Return how an action leaves a container that it does not let run; None for any other."""
    match step:
        case Destroy():
            return "removed"
        case StopAction():
            return "stopped"
        case Pause() | Freeze():
            return "paused"
        case Update(changes=changes) if any(map(_is_pause, changes)):
            return "paused"
        case Recreate(spec=spec) | Start(spec=spec) | Restart(spec=spec) if observed is not None:
            wanted = wanted_state(spec, observed)
            return None if wanted is DesiredState.RUNNING else wanted.value
        case _:
            return None


def _is_pause(change: FieldChange) -> bool:
    return change.field == "state" and change.desired == DesiredState.PAUSED


def _may_be_restarted(spec: Spec, observed: Observed, step: _Step) -> bool:
    """Tell whether a container runs, is to, and nothing else is about to end that."""
    is_steady = (
        step is None
        or isinstance(step, Update | React)
        or (isinstance(step, Wait) and step.kind is WaitKind.DEADLINE)
    )
    is_wanted = wanted_state(spec, observed) is DesiredState.RUNNING
    return is_steady and is_wanted and observed.status is Status.RUNNING


def _check_started(one: Dependency, spec: Spec | None) -> _Unmet | None:
    """Return what is missing once a dependency has been started by this plan."""
    is_probed = spec is not None and (spec.probes.startup or spec.probes.readiness)
    if one.condition is DependencyCondition.STARTED:
        return None
    if one.condition is DependencyCondition.READY and not is_probed:
        return None
    return _Unmet("it is yet to be started", can_come=True)


def _never_completes(spec: Spec) -> bool:
    return spec.kind is Kind.CONTAINER and spec.restart.policy is RestartPolicy.ALWAYS


def _runs(observed: Observed | None) -> bool:
    return observed is not None and observed.status.has_processes()


def _has_completed(spec: Spec | None, observed: Observed) -> bool:
    """Tell whether a container has ended by itself with 0, and that is what it was to do."""
    memory, last_exit = observed.memory, observed.last_exit
    if observed.status is not Status.STOPPED or last_exit is None:
        return False
    is_ours = memory.is_stopped or memory.is_ended_as_failed
    is_wanted = spec is None or spec.state is not DesiredState.STOPPED
    return last_exit.is_success() and not is_ours and is_wanted


def _why_not_running(spec: Spec | None, observed: Observed | None) -> str:
    if spec is not None and spec.state is DesiredState.STOPPED:
        return "its spec has `state: stopped`"
    if observed is None:
        return "it does not exist"
    if observed.status is not Status.STOPPED:
        return f"it is {observed.status}"
    if observed.last_exit is None or observed.memory.is_stopped:
        return "it was stopped"
    return f"it ended ({observed.last_exit.describe()}) and is not started again"
