"""What is true of a world that has come to rest, and of the order of stops in a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.cgroup.canonical import canonical_limits
from reconciler.control.report import PassReport
from reconciler.errors import ErrorCode
from reconciler.model.action import Destroy, StopAction, WaitKind
from reconciler.model.spec import DesiredState, Drift, Kind, RestartPolicy, Spec
from reconciler.model.state import Status
from reconciler.model.world import Observed
from tests.fakes.engine import FACTS
from tests.fire.kernel import ModelKernel

Files = Mapping[str, dict[str, Any] | None]


def check_rest(report: PassReport, kernel: ModelKernel, source: str, files: Files) -> None:
    """Every valid file has its container, every other container of the source has a reason."""
    waits = {wait.name: wait for wait in report.plan.waits}
    refused = {one.spec_name for one in report.plan.problems if one.code != ErrorCode.CrashLoop}
    for name, spec in report.desired.specs.items():
        wait = waits.get(name)
        is_held = wait is not None and wait.kind is not WaitKind.DEADLINE
        has_failed = name in report.world.failures
        if wait is not None and wait.kind is WaitKind.BACKOFF and not has_failed:
            assert _may_have_ended(name, spec, kernel), f"{name} waits, and did not end: {wait}"
        if is_held or has_failed or name in report.plan.suspended or name in refused:
            continue
        _check_one(name, spec, report.world.containers.get(name), kernel)
    if any(one.code == ErrorCode.PruneRefused for one in report.plan.problems):
        return  # a broken file may name what no other one does
    for name in kernel.cells.keys() - files.keys():
        recorded = kernel.spec_of(name)
        if recorded is not None and recorded.source == source:
            is_left = name in report.plan.orphaned or name in report.plan.suspended
            is_frozen = name in waits and waits[name].kind is WaitKind.FROZEN
            has_failed = name in report.world.failures
            assert is_left or is_frozen or has_failed, f"{name} is still there"


def _check_one(name: str, spec: Spec, observed: Observed | None, kernel: ModelKernel) -> None:
    assert observed is not None, f"{name} is not there"
    cell = kernel.cells[name]
    assert cell.record.config == spec.config, name
    assert observed.frozen_at is None, name
    if spec.drift != Drift():
        return
    wanted = {
        DesiredState.RUNNING: {Status.PAUSED if observed.paused_at is not None else Status.RUNNING},
        DesiredState.PAUSED: {Status.PAUSED},
        DesiredState.STOPPED: {Status.CREATED, Status.STOPPED},
    }[spec.state]
    if cell.status not in wanted:
        assert _has_ended_for_good(spec, observed), (name, cell.status, wanted)
        assert _may_have_ended(name, spec, kernel), f"{name} was stopped, and is not started again"
    if cell.status.has_processes():
        assert cell.limits == canonical_limits(spec.config.resources, FACTS), name


def _may_have_ended(name: str, spec: Spec, kernel: ModelKernel) -> bool:
    """Tell whether the last run ended by itself, or by what the spec says of its length."""
    return name in kernel.ended or spec.deadline_ns is not None


def _has_ended_for_good(spec: Spec, observed: Observed) -> bool:
    ended = observed.last_exit
    if observed.status is not Status.STOPPED or spec.state is DesiredState.STOPPED:
        return False
    is_success = ended is not None and ended.is_success()
    is_permanent = ended is not None and ended.code in spec.restart.permanent_exit_codes
    has_enough = spec.restart.max_attempts is not None
    by_policy = {
        RestartPolicy.ALWAYS: spec.kind is Kind.JOB and is_success,
        RestartPolicy.ON_FAILURE: is_success,
        RestartPolicy.NEVER: True,
    }[spec.restart.policy]
    return by_policy or is_permanent or has_enough


def check_stops(report: PassReport, stops: Sequence[tuple[str, frozenset[str]]]) -> None:
    """What depends on something stops before it, where both are stopped or destroyed."""
    ended = {
        one.action.name
        for one in report.outcomes
        if isinstance(one.action, StopAction | Destroy) and one.error is None
    }
    order = [name for name, _ in stops]
    for at, (name, dependents) in enumerate(stops):
        late = dependents & ended & set(order[at + 1 :])
        assert name not in ended or not late, f"{name} was stopped before {sorted(late)}"
