"""What `status` shows: every container that is, and every one that should be, with conditions.

Called by the command line with the report of a plan; pure. The shape of an item is part of the
contract with programs; `show` and `why` print the same keys and more:

    {name, kind, source, generation, observedGeneration, state, pid, restarts, startedAt,
     lastExit: {code, signal, oom, at, text,
                memory: {usageBytes, peakBytes, limitBytes, oomKills} | null} | null,
     conditions: [{type, status, reason, message, lastTransitionAt}]}

`generation` numbers the specs that a container has had, `observedGeneration` is that of the one
it was last made equal to. Times are RFC 3339 in UTC. A condition's status is True, False or
Unknown. `state` is one of running, pausing, paused, stopped, created; completed, failed (ended
for good), backoff (to be started again), waiting (for what it depends on), suspended (it does
not run and nothing is done about it), pending (to be created), invalid (has never had a valid
spec), unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.cgroup.canonical import Unsupported
from reconciler.control import conditions
from reconciler.control.report import PassReport
from reconciler.errors import ErrorCode
from reconciler.model.action import Action, FieldChange, Wait, WaitKind
from reconciler.model.frozen import frozen
from reconciler.model.health import Health
from reconciler.model.moment import format_time
from reconciler.model.spec import DesiredState, Kind, Spec, Suspend
from reconciler.model.state import ExitStatus, Status
from reconciler.model.world import Failure, Observed, Problem
from reconciler.planning.health import readiness_of

Item = dict[str, Any]


@frozen
class _Facts:
    """All that is known of one name."""

    name: str
    spec: Spec | None
    observed: Observed | None
    action: Action | None
    wait: Wait | None
    failure: Failure | None
    unobserved: Problem | None
    problems: tuple[Problem, ...]
    is_invalid: bool
    suspend: Suspend | None
    transitions: Mapping[str, tuple[str, float]]
    unenforced: Sequence[Unsupported]
    reported: Sequence[FieldChange]
    is_orphaned: bool
    health: Health | None


def status_items(report: PassReport, names: Iterable[str] | None = None) -> list[Item]:
    """Return the items of all containers that exist or are desired, or of `names`, in order."""
    desired, world, plan = report.desired, report.world, report.plan
    if names is None:
        names = {*desired.specs, *desired.invalid, *world.containers, *world.unobserved}
    actions = {action.name: action for action in plan.actions}
    waits = {wait.name: wait for wait in plan.waits}
    return [
        _item(
            _Facts(
                name=name,
                spec=desired.specs.get(name),
                observed=world.containers.get(name),
                action=actions.get(name),
                wait=waits.get(name),
                failure=world.failures.get(name),
                unobserved=world.unobserved.get(name),
                problems=_problems_of(name, report),
                is_invalid=name in desired.invalid,
                suspend=plan.suspended.get(name),
                transitions=report.transitions.get(name, {}),
                unenforced=report.unenforced.get(name, ()),
                reported=plan.reported.get(name, ()),
                is_orphaned=name in plan.orphaned,
                health=world.health.get(name),
            )
        )
        for name in sorted(names)
    ]


def _problems_of(name: str, report: PassReport) -> tuple[Problem, ...]:
    """Return the problems that name the container, or its file where no name can be told."""
    spec = report.desired.specs.get(name)
    file = spec.origin.file if spec is not None and name in report.desired.invalid else None
    return tuple(
        problem
        for problem in report.plan.problems
        if problem.spec_name == name or (file and file == problem.file and not problem.spec_name)
    )


def _item(facts: _Facts) -> Item:
    observed = facts.observed
    # A container of another owner with our spec's name is shown as what it is.
    spec = facts.spec if observed is None else observed.spec
    state = _state(facts)
    return {
        "name": facts.name,
        "kind": (spec.kind if spec is not None else Kind.CONTAINER).value,
        "source": spec.source if spec is not None else None,
        "generation": _generation(facts),
        "observedGeneration": observed.generation if observed is not None else None,
        "state": state,
        "pid": observed.pid if observed is not None else None,
        "restarts": observed.memory.count if observed is not None else 0,
        "startedAt": _time(observed.started_at if observed is not None else None),
        "lastExit": exit_json(observed.last_exit if observed is not None else None),
        "conditions": [
            _dated(one, facts)
            for one in (
                _valid(facts),
                _condition(
                    "Enforced",
                    *conditions.enforced(facts.observed, facts.unenforced, facts.failure),
                ),
                _running(facts, state),
                _ready(facts, spec),
                _progressing(facts),
                _suspended(facts),
                _condition("Drifted", *conditions.drifted(facts.reported)),
            )
        ],
    }


def _generation(facts: _Facts) -> int:
    if facts.observed is None:
        return 1
    recorded, spec = facts.observed.spec, facts.spec
    is_new = spec is not None and recorded is not None and spec.digest != recorded.digest
    return facts.observed.generation + is_new


def _state(facts: _Facts) -> str:
    if facts.observed is None:
        return _state_of_absent(facts)
    status = facts.observed.status
    if status.has_processes() or _is_to_be_stopped(facts):
        return status.value
    if facts.suspend is not None:
        return "suspended"
    if facts.wait is not None and facts.wait.kind is not WaitKind.FROZEN:
        return _state_of_waiting(facts.wait)
    if facts.failure is not None or _crash_loop(facts) is not None:
        return "failed"
    if status is not Status.STOPPED or facts.action is not None:
        return status.value
    return _state_of_ended(facts.observed)


def _state_of_absent(facts: _Facts) -> str:
    if facts.unobserved is not None:
        return "unknown"
    if facts.spec is None:
        return "invalid"
    if facts.suspend is not None:
        return "suspended"
    if facts.wait is not None:
        return _state_of_waiting(facts.wait)
    return "failed" if facts.failure is not None else "pending"


def _state_of_waiting(wait: Wait) -> str:
    return "waiting" if wait.kind is WaitKind.DEPENDENCY else "backoff"


def _state_of_ended(observed: Observed) -> str:
    """Return what a container is that ended and will not be started again."""
    if observed.last_exit is None or observed.memory.is_stopped:
        return observed.status.value
    is_success = observed.last_exit.is_success() and not observed.memory.is_ended_as_failed
    return "completed" if is_success else "failed"


def _crash_loop(facts: _Facts) -> Problem | None:
    return next((one for one in facts.problems if one.code == ErrorCode.CrashLoop), None)


def _is_to_be_stopped(facts: _Facts) -> bool:
    spec = facts.spec or (facts.observed.spec if facts.observed is not None else None)
    return spec is not None and spec.state is DesiredState.STOPPED


def _valid(facts: _Facts) -> Item:
    if facts.is_invalid:
        shown = facts.problems[:1]
        reason = shown[0].name if shown else "Invalid"
        message = "; ".join(problem.describe() for problem in facts.problems)
        return _condition("Valid", "False", reason, message or "its file is in trouble")
    if facts.spec is None:
        return _condition("Valid", "Unknown", "NoSpec", "no file of these sources names it")
    return _condition("Valid", "True", "SpecValid", "")


def _running(facts: _Facts, state: str) -> Item:
    observed = facts.observed
    if observed is not None and observed.status is Status.RUNNING:
        return _condition("Running", "True", "Running", "", observed.started_at)
    if facts.failure is not None:
        problem = facts.failure.problem
        return _condition("Running", "False", problem.name, problem.message, facts.failure.at)
    if facts.unobserved is not None:
        return _condition("Running", "Unknown", facts.unobserved.name, facts.unobserved.message)
    reason = state.capitalize()
    if observed is not None and observed.paused_at is not None and observed.status.has_processes():
        message = "paused by hand; `reconciler resume` lets it run on"
        return _condition("Running", "False", "PausedByHand", message, observed.paused_at)
    if observed is None or observed.status is not Status.STOPPED or observed.last_exit is None:
        return _condition("Running", "False", reason, "")
    last_exit, message = observed.last_exit, observed.last_exit.describe()
    if observed.memory.is_overdue:
        reason, message = "DeadlineExceeded", f"its deadline had passed; {message}"
    if observed.memory.failed_probe is not None:
        reason, message = "ProbeFailed", f"{observed.memory.failed_probe}; {message}"
    if observed.is_rebooted:
        reason, message = "Rebooted", "it ran when the host went down"
    if _crash_loop(facts) is not None:
        reason = ErrorCode.CrashLoop.name
    return _condition("Running", "False", reason, message, last_exit.at)


def _ready(facts: _Facts, spec: Spec | None) -> Item:
    if facts.unobserved is not None:
        return _condition("Ready", "Unknown", facts.unobserved.name, facts.unobserved.message)
    found = readiness_of(spec, facts.observed, facts.health)
    status = "True" if found.is_ready else "False"
    return _condition("Ready", status, found.reason, found.message, found.since)


def _progressing(facts: _Facts) -> Item:
    if facts.suspend is not None:
        message = f"suspended: {facts.suspend.describe()}"
        return _condition("Progressing", "False", "Suspended", message)
    wait = facts.wait
    if wait is not None and wait.kind is WaitKind.DEPENDENCY:
        can_come = "True" if wait.can_come else "False"
        return _condition("Progressing", can_come, "DependencyNotMet", wait.reason)
    if wait is not None and wait.kind is WaitKind.BACKOFF:
        message = f"{wait.reason}; next try at {_time(wait.until)}"
        return _condition("Progressing", "True", "Backoff", message)
    if wait is not None and wait.kind is WaitKind.FROZEN:
        return _condition("Progressing", *conditions.frozen(wait))
    if facts.is_orphaned:
        return _condition("Progressing", "False", "Orphaned", conditions.ORPHANED)
    if facts.action is not None:
        return _condition("Progressing", "True", "ChangesPending", facts.action.describe())
    if facts.problems and not facts.is_invalid:
        problem = facts.problems[0]
        return _condition("Progressing", "False", problem.name, problem.message)
    return _condition("Progressing", "False", "Converged", "")


def _suspended(facts: _Facts) -> Item:
    if facts.suspend is None:
        return _condition("Suspended", "False", "NotSuspended", "")
    is_by_command = facts.observed is not None and facts.observed.suspend == facts.suspend
    reason = "ByCommand" if is_by_command else "BySpec"
    return _condition("Suspended", "True", reason, facts.suspend.describe())


def _dated(condition: Item, facts: _Facts) -> Item:
    """Return the condition with the remembered time of its last change, if it has no better."""
    known = facts.transitions.get(condition["type"])
    if condition["lastTransitionAt"] is None and known and known[0] == condition["status"]:
        condition["lastTransitionAt"] = _time(known[1])
    return condition


def _condition(
    kind: str, status: str, reason: str, message: str, since: float | None = None
) -> Item:
    """Return a condition; when it last changed is told only where something knows it."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionAt": _time(since),
    }


def _time(at: float | None) -> str | None:
    return None if at is None else format_time(at)


def exit_json(last_exit: ExitStatus | None) -> Item | None:
    """Return how a run ended; `memory` are the cgroup's figures at an end for want of it."""
    if last_exit is None:
        return None
    memory = last_exit.memory
    return {
        "code": last_exit.code,
        "signal": last_exit.signal,
        "oom": last_exit.oom,
        "at": format_time(last_exit.at),
        "text": last_exit.describe(),
        "memory": None
        if memory is None
        else {
            "usageBytes": memory.usage_bytes,
            "peakBytes": memory.peak_bytes,
            "limitBytes": memory.limit_bytes,
            "oomKills": memory.oom_kills,
        },
    }
