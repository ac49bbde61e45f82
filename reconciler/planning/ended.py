"""What to do with a container whose init has ended: start it now, wait, or leave it.

Called by the state table. The restart policy decides whether, the backoff when. Any end that
the reconciler did not bring about counts for the backoff, an exit with 0 too, or a policy of
`always` could become a hot loop; a run of at least `resetAfter` sets the count back. After
`maxAttempts` restarts in a row it is left alone. A new spec is a new chance: it starts at once
and its count begins at zero.
"""

from __future__ import annotations

from reconciler.errors import ErrorCode
from reconciler.model.action import ChangeClass, FieldChange, Start, Update, Wait
from reconciler.model.quantity import format_duration
from reconciler.model.spec import DesiredState, Kind, RestartPolicy, Spec
from reconciler.model.state import ExitStatus
from reconciler.model.world import Observed, Problem, RestartMemory
from reconciler.planning import backoff


def plan_ended(
    spec: Spec, observed: Observed, changes: tuple[FieldChange, ...], now: float
) -> Start | Update | Wait | Problem | None:
    """Return what a stopped container needs that is to be running or paused."""
    fresh = RestartMemory(count=observed.memory.count)
    if observed.is_rebooted and spec.restart.policy is not RestartPolicy.NEVER:
        return _start(spec, "the host was booted anew", changes, fresh)
    if _is_new_run(changes):
        return _start(spec, "its spec changed", changes, fresh)
    if observed.memory.is_stopped:
        return _start(spec, "it was stopped by the reconciler", changes, fresh)
    last_exit = observed.last_exit or _unknown_exit(observed)
    if not _may_restart(spec, last_exit, observed.memory):
        return _update(spec, changes)
    return _restart_or_wait(spec, observed, changes, now)


def _restart_or_wait(
    spec: Spec, observed: Observed, changes: tuple[FieldChange, ...], now: float
) -> Start | Update | Wait | Problem:
    memory, last_exit = observed.memory, observed.last_exit or _unknown_exit(observed)
    rules = spec.restart.backoff
    was_stable = backoff.is_stable(observed.started_at, last_exit.at, spec.restart)
    attempts = 1 if was_stable else memory.failures + 1
    reason = f"it ended: {last_exit.describe()}"
    if memory.is_overdue:
        reason = f"it was stopped: {overdue_reason(spec)}"
    if memory.failed_probe is not None:
        reason = f"it was stopped: {memory.failed_probe}"
    if spec.restart.max_attempts is not None and attempts > spec.restart.max_attempts:
        return _update(spec, changes) or _crash_loop(spec, reason)
    due = backoff.due_at(last_exit.at, rules, attempts, spec.name)
    if backoff.is_due(last_exit.at, due, now):
        after = RestartMemory(count=memory.count + 1, failures=attempts)
        return _start(spec, f"{reason}; restart {after.count}", changes, after)
    waiting = Wait(name=spec.name, until=due, reason=reason, attempts=attempts)
    return _update(spec, changes) or waiting


def _is_new_run(changes: tuple[FieldChange, ...]) -> bool:
    """Tell whether a change is of what runs, or asks for a run where none was wanted."""
    return any(
        change.change_class is ChangeClass.RESTART
        or change.field.startswith("resources.")
        or (change.field == "state" and change.observed == DesiredState.STOPPED)
        for change in changes
    )


def overdue_reason(spec: Spec) -> str:
    """Return why a job was stopped that did not end in time."""
    return f"it ran longer than its deadline of {format_duration(spec.deadline_ns or 0)}"


def _crash_loop(spec: Spec, reason: str) -> Problem:
    times = spec.restart.max_attempts
    message = (
        f"cannot keep {spec.name} running: {reason}; {times} restarts in a row did not help, so "
        "it is left alone until its file changes or `reconciler restart` is told to start it"
    )
    return Problem.of(ErrorCode.CrashLoop, message, spec)


def _may_restart(spec: Spec, last_exit: ExitStatus, memory: RestartMemory) -> bool:
    is_success = last_exit.is_success() and not memory.is_ended_as_failed
    if last_exit.code in spec.restart.permanent_exit_codes and not memory.is_ended_as_failed:
        return False
    if spec.kind is Kind.JOB and is_success:
        return False
    match spec.restart.policy:
        case RestartPolicy.ALWAYS:
            return True
        case RestartPolicy.ON_FAILURE:
            return not is_success
        case RestartPolicy.NEVER:
            return False


def _unknown_exit(observed: Observed) -> ExitStatus:
    return ExitStatus(code=None, signal=None, oom=False, at=observed.started_at or 0.0)


def _start(
    spec: Spec, reason: str, changes: tuple[FieldChange, ...], memory: RestartMemory
) -> Start:
    return Start(name=spec.name, spec=spec, reason=reason, changes=changes, memory=memory)


def _update(spec: Spec, changes: tuple[FieldChange, ...]) -> Update | None:
    if not changes:
        return None
    return Update(name=spec.name, spec=spec, reason="its spec changed", changes=changes)
