"""Restart policy, backoff and jobs: what becomes of a container whose init has ended."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import ErrorCode
from reconciler.model.action import Plan, Start, StopAction, Update, Wait, WaitKind
from reconciler.model.spec import Backoff, Kind, Restart, RestartPolicy
from reconciler.model.state import ExitStatus, Status
from reconciler.model.world import RestartMemory
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import (
    NOW,
    make_desired,
    make_exit,
    make_observed,
    make_resources,
    make_spec,
    make_world,
)

ALWAYS, ON_FAILURE, NEVER = RestartPolicy
JOB, CONTAINER = Kind.JOB, Kind.CONTAINER
OK, FAILED, KILLED, UNKNOWN = (
    make_exit(0),
    make_exit(1),
    make_exit(None, 9),
    make_exit(None, None),
)
NS = 10**9
BACKOFF = Backoff(initial_ns=NS, factor=2, max_ns=60 * NS)


def restart(policy: RestartPolicy, **fields: Any) -> Restart:
    return Restart(policy=policy, backoff=BACKOFF, **fields)


def plan_ended(
    spec: Any,
    last_exit: ExitStatus | None,
    *,
    seconds_ago: float = 1000,
    ran_s: float = 1,
    memory: RestartMemory = RestartMemory(),  # noqa: B008  (frozen)
    recorded: Any = None,
) -> Plan:
    """Plan for a container that ended at NOW, `seconds_ago` seconds later."""
    observed = make_observed(
        recorded or spec,
        Status.STOPPED,
        last_exit=last_exit,
        started_at=NOW - ran_s,
        memory=memory,
    )
    world = make_world(observed, now=NOW + seconds_ago)
    return make_plan(make_desired(spec), world, {}, PlanOptions())


@pytest.mark.parametrize(
    ("kind", "policy", "last_exit", "restarts"),
    [
        (CONTAINER, ALWAYS, OK, True),
        (CONTAINER, ALWAYS, FAILED, True),
        (CONTAINER, ALWAYS, UNKNOWN, True),
        (CONTAINER, ALWAYS, None, True),
        (CONTAINER, ON_FAILURE, OK, False),
        (CONTAINER, ON_FAILURE, FAILED, True),
        (CONTAINER, ON_FAILURE, KILLED, True),
        (CONTAINER, ON_FAILURE, UNKNOWN, True),
        (CONTAINER, NEVER, OK, False),
        (CONTAINER, NEVER, KILLED, False),
        (JOB, NEVER, OK, False),
        (JOB, NEVER, FAILED, False),
        (JOB, NEVER, UNKNOWN, False),
        (JOB, ON_FAILURE, OK, False),
        (JOB, ON_FAILURE, FAILED, True),
        (JOB, ON_FAILURE, UNKNOWN, True),
        (JOB, ALWAYS, OK, False),  # no schema allows it: a job is done when it is done
        (JOB, ALWAYS, FAILED, True),
    ],
)
def test_the_policy_decides_whether_it_is_started_again(
    kind: Kind, policy: RestartPolicy, last_exit: ExitStatus | None, restarts: bool
) -> None:
    plan = plan_ended(make_spec(kind=kind, restart=restart(policy)), last_exit)
    assert [action.verb for action in plan.actions] == (["start"] if restarts else [])
    assert plan.waits == ()


@pytest.mark.parametrize(
    ("failures", "wait_s"), [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (5000, 60)]
)
def test_the_backoff_decides_when(failures: int, wait_s: float) -> None:
    spec = make_spec(restart=restart(ALWAYS))
    memory = RestartMemory(count=9, failures=failures)
    early = plan_ended(spec, FAILED, memory=memory, seconds_ago=wait_s - 0.1)
    (wait,) = early.waits
    assert not early.actions
    assert (wait.name, wait.until, wait.attempts) == ("web", NOW + wait_s, failures + 1)
    (start,) = plan_ended(spec, FAILED, memory=memory, seconds_ago=wait_s).actions
    assert isinstance(start, Start)
    assert start.memory == RestartMemory(count=10, failures=failures + 1)
    assert start.reason == "it ended: exit code 1; restart 10"


def test_an_end_with_success_counts_for_the_backoff_too() -> None:
    plan = plan_ended(make_spec(restart=restart(ALWAYS)), OK, seconds_ago=0)
    assert not plan.actions
    assert plan.waits[0].until == NOW + 1


@pytest.mark.parametrize(("ran_s", "failures"), [(59.9, 6), (60, 1), (10_000, 1)])
def test_a_run_as_long_as_the_longest_wait_sets_the_count_back(ran_s: float, failures: int) -> None:
    memory = RestartMemory(count=5, failures=5)
    plan = plan_ended(make_spec(restart=restart(ALWAYS)), FAILED, ran_s=ran_s, memory=memory)
    (start,) = plan.actions
    assert isinstance(start, Start)
    assert start.memory == RestartMemory(count=6, failures=failures)


def test_a_stop_by_the_reconciler_is_neither_a_failure_nor_a_restart() -> None:
    memory = RestartMemory(count=2, failures=2, is_stopped=True)
    spec = make_spec(restart=restart(NEVER))
    (start,) = plan_ended(spec, KILLED, seconds_ago=0, memory=memory).actions
    assert isinstance(start, Start)
    assert start.memory == RestartMemory(count=2, failures=0)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("policy", RestartPolicy)
@pytest.mark.parametrize(
    "change", [{"command": ("/bin/b",)}, {"resources": make_resources(pids=5)}]
)
def test_a_new_spec_is_a_new_run_at_once(
    kind: Kind, policy: RestartPolicy, change: dict[str, Any]
) -> None:
    fields: dict[str, Any] = {"kind": kind, "restart": restart(policy)}
    memory = RestartMemory(count=4, failures=4)
    plan = plan_ended(
        make_spec(**fields, **change),
        FAILED,
        seconds_ago=0,
        memory=memory,
        recorded=make_spec(**fields),
    )
    (start,) = plan.actions
    assert isinstance(start, Start)
    assert start.memory == RestartMemory(count=4, failures=0)


def test_new_labels_of_a_completed_job_do_not_run_it_again() -> None:
    done = make_spec(kind=JOB, restart=restart(NEVER))
    labelled = make_spec(kind=JOB, restart=restart(NEVER), labels={"a": "b"})
    (action,) = plan_ended(labelled, OK, recorded=done).actions
    assert isinstance(action, Update)


def test_a_new_policy_counts_for_an_end_before_it() -> None:
    never, always = make_spec(restart=restart(NEVER)), make_spec(restart=restart(ALWAYS))
    (action,) = plan_ended(always, FAILED, recorded=never).actions
    assert isinstance(action, Start)
    (action,) = plan_ended(always, FAILED, recorded=never, seconds_ago=0).actions
    assert isinstance(action, Update)


@pytest.mark.parametrize(("failures", "is_over"), [(0, False), (2, False), (3, True), (9, True)])
def test_after_so_many_restarts_in_a_row_it_is_left_alone_as_a_crash_loop(
    failures: int, is_over: bool
) -> None:
    spec = make_spec(restart=restart(ALWAYS, max_attempts=3))
    plan = plan_ended(spec, FAILED, memory=RestartMemory(count=9, failures=failures))
    assert [action.verb for action in plan.actions] == ([] if is_over else ["start"])
    assert [problem.code for problem in plan.problems] == [ErrorCode.CrashLoop] * is_over
    assert plan.waits == ()


def test_a_crash_loop_says_what_happened_and_what_ends_it() -> None:
    spec = make_spec(restart=restart(ALWAYS, max_attempts=3))
    (problem,) = plan_ended(spec, KILLED, memory=RestartMemory(failures=3)).problems
    assert problem.spec_name == "web"
    assert problem.message.startswith(
        "cannot keep web running: it ended: killed by signal 9; 3 restarts in a row did not help"
    )


def test_a_stable_run_or_a_new_spec_ends_a_crash_loop() -> None:
    spec = make_spec(restart=restart(ALWAYS, max_attempts=3, reset_after_ns=10 * NS))
    spent = RestartMemory(count=3, failures=3)
    (start,) = plan_ended(spec, FAILED, ran_s=10, memory=spent).actions
    assert isinstance(start, Start)
    assert start.memory == RestartMemory(count=4, failures=1)
    changed = make_spec(restart=spec.restart, command=("/bin/b",))
    (start,) = plan_ended(changed, FAILED, memory=spent, recorded=spec).actions
    assert isinstance(start, Start)
    assert start.memory == RestartMemory(count=3)


@pytest.mark.parametrize("policy", RestartPolicy)
def test_a_permanent_exit_code_is_the_end_whatever_the_policy(policy: RestartPolicy) -> None:
    spec = make_spec(restart=restart(policy, permanent_exit_codes=(2, 78)))
    assert plan_ended(spec, make_exit(78)) == Plan()


def test_another_exit_code_or_a_signal_is_not_permanent() -> None:
    spec = make_spec(restart=restart(ALWAYS, permanent_exit_codes=(2, 9)))
    for last_exit in (FAILED, KILLED, UNKNOWN, None):
        assert [one.verb for one in plan_ended(spec, last_exit).actions] == ["start"]


def plan_running_job(ran_s: float, **fields: Any) -> Plan:
    spec = make_spec(kind=JOB, restart=restart(ON_FAILURE), deadline_ns=60 * NS, **fields)
    observed = make_observed(spec, started_at=NOW - ran_s, memory=RestartMemory(failures=1))
    return make_plan(make_desired(spec), make_world(observed), {}, PlanOptions())


def test_a_job_is_waited_for_until_its_deadline() -> None:
    plan = plan_running_job(59)
    assert plan.actions == ()
    assert plan.waits == (
        Wait(
            name="web",
            until=NOW + 1,
            reason="it is stopped when its deadline passes",
            kind=WaitKind.DEADLINE,
        ),
    )


def test_a_job_past_its_deadline_is_stopped_and_that_is_a_failure() -> None:
    (stop,) = plan_running_job(60).actions
    assert isinstance(stop, StopAction)
    assert stop.reason == "it ran longer than its deadline of 1m"
    assert stop.memory == RestartMemory(failures=1, is_overdue=True)


@pytest.mark.parametrize("moved_s", [-3600, 3600])
@pytest.mark.parametrize(("ran_s", "is_over"), [(59, False), (60, True)])
def test_a_clock_that_is_set_meanwhile_moves_no_deadline(
    ran_s: float, moved_s: float, *, is_over: bool
) -> None:
    spec = make_spec(kind=JOB, deadline_ns=60 * NS)
    observed = make_observed(spec, started_at=NOW - moved_s - ran_s, began_s=1000.0)
    world = make_world(observed, boot_s=1000.0 + ran_s)
    plan = make_plan(make_desired(spec), world, {}, PlanOptions())
    assert [type(one) for one in plan.actions] == [StopAction] * is_over
    assert [one.until for one in plan.waits] == [NOW + 1] * (not is_over)


@pytest.mark.parametrize("last_exit", [OK, KILLED])
def test_a_job_stopped_at_its_deadline_is_tried_again_by_the_backoff(last_exit: ExitStatus) -> None:
    overdue = RestartMemory(failures=1, is_overdue=True)
    spec = make_spec(kind=JOB, restart=restart(ON_FAILURE, max_attempts=2), deadline_ns=NS)
    plan = plan_ended(spec, last_exit, memory=overdue, seconds_ago=1)
    (wait,) = plan.waits
    assert (wait.until, wait.reason) == (
        NOW + 2,
        "it was stopped: it ran longer than its deadline of 1s",
    )
    (start,) = plan_ended(spec, last_exit, memory=overdue, seconds_ago=2).actions
    assert isinstance(start, Start)
    assert start.memory == RestartMemory(count=1, failures=2)
    spent = RestartMemory(failures=2, is_overdue=True)
    (problem,) = plan_ended(spec, last_exit, memory=spent).problems
    assert problem.code == ErrorCode.CrashLoop


def test_a_job_that_is_not_to_be_retried_stays_stopped_after_its_deadline() -> None:
    spec = make_spec(kind=JOB, restart=restart(NEVER), deadline_ns=NS)
    plan = plan_ended(spec, OK, memory=RestartMemory(is_overdue=True))
    assert plan == Plan()
