"""Which exit code a report means."""

from __future__ import annotations

import pytest

from reconciler.control.outcome import Outcome
from reconciler.control.report import PassReport
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.action import Create, Plan, Wait
from reconciler.model.world import Failure, Problem, World
from tests.unit.planning.world_model import NOW, make_desired, make_spec

CREATE = Create(name="web", spec=make_spec(), reason="")
ERROR = ReconcilerError(ErrorCode.CommandNotFound, "cannot")
NOTHING = Plan()
FAILURE = Failure(
    verb="create", spec_digest="d1", count=1, at=NOW, problem=Problem.from_error(ERROR)
)
WAIT = Wait(name="web", until=NOW + 1, reason="", attempts=1)


def report(
    *codes: ErrorCode,
    plan: Plan = NOTHING,
    failures: dict[str, Failure] | None = None,
    outcomes: tuple[Outcome, ...] = (),
) -> PassReport:
    problems = tuple(Problem.of(code, "trouble") for code in codes)
    return PassReport(
        desired=make_desired(),
        world=World(containers={}, now=NOW, failures=failures or {}),
        plan=Plan(actions=plan.actions, waits=plan.waits, problems=problems),
        outcomes=outcomes,
    )


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], 0),
        ([ErrorCode.SpecSyntax], 3),
        ([ErrorCode.SpecDuplicateName], 3),
        ([ErrorCode.SpecTooLarge, ErrorCode.SpecValue], 3),
        ([ErrorCode.PruneRefused], 4),
        ([ErrorCode.SourceEmpty], 4),
        ([ErrorCode.NotOwned], 4),
        ([ErrorCode.PruneRefused, ErrorCode.SpecSchema], 3),
        ([ErrorCode.SourceMissing], 1),
        ([ErrorCode.SourceUnreadable, ErrorCode.SpecSyntax], 1),
        ([ErrorCode.RecordCorrupt], 1),
    ],
)
def test_the_worst_problem_decides(codes: list[ErrorCode], expected: int) -> None:
    assert report(*codes).exit_code() == expected


def test_pending_changes_count_only_when_asked_for_and_nothing_is_worse() -> None:
    pending = Plan(actions=(CREATE,))
    assert report(plan=pending).exit_code() == 0
    assert report(plan=pending).exit_code(detailed=True) == 2
    assert report(ErrorCode.SpecSyntax, plan=pending).exit_code(detailed=True) == 3


def test_an_action_that_failed_is_a_failure_until_it_succeeds() -> None:
    failed = Outcome(action=CREATE, error=ERROR, duration_ns=1)
    succeeded = Outcome(action=CREATE, error=None, duration_ns=1)
    assert report(failures={"web": FAILURE}, outcomes=(failed,)).exit_code() == 1
    assert report(failures={}, outcomes=(failed, succeeded)).exit_code() == 0


def test_waiting_for_a_restart_is_no_failure_but_waiting_after_a_failure_is() -> None:
    waiting = Plan(waits=(WAIT,))
    assert report(plan=waiting).exit_code() == 0
    assert report(plan=waiting, failures={"web": FAILURE}).exit_code() == 1


def test_failures_of_containers_that_are_not_concerned_do_not_count() -> None:
    assert report(failures={"other": FAILURE}).exit_code() == 0
