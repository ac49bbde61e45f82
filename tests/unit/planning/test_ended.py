"""Restart policy, backoff and jobs: what becomes of a container whose init has ended."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.action import Plan, Start, Update
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


def restart(policy: RestartPolicy) -> Restart:
    return Restart(policy=policy, backoff=BACKOFF)


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
    assert early.is_empty()
    assert (wait.name, wait.until, wait.attempts) == ("web", NOW + wait_s, failures + 1)
    (start,) = plan_ended(spec, FAILED, memory=memory, seconds_ago=wait_s).actions
    assert isinstance(start, Start)
    assert start.memory == RestartMemory(count=10, failures=failures + 1)
    assert start.reason == "it ended: exit code 1; restart 10"


def test_an_end_with_success_counts_for_the_backoff_too() -> None:
    plan = plan_ended(make_spec(restart=restart(ALWAYS)), OK, seconds_ago=0)
    assert plan.is_empty()
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
