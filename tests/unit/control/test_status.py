"""The items of `status --output json`: their shape, and the state of each kind of container."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.control.report import PassReport
from reconciler.control.status import status_items
from reconciler.errors import ErrorCode
from reconciler.model.frozen import replace
from reconciler.model.spec import DesiredState, Kind, Restart, RestartPolicy, Spec, Suspend
from reconciler.model.state import Status
from reconciler.model.world import Desired, Failure, Observed, Problem, RestartMemory, World
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import (
    NOW,
    all_limits,
    make_desired,
    make_exit,
    make_observed,
    make_spec,
    make_world,
)

NEVER = Restart(policy=RestartPolicy.NEVER)
JOB = make_spec(kind=Kind.JOB, restart=NEVER)
STOPPED = make_spec(state=DesiredState.STOPPED)
PROBLEM = Problem(
    code=101, name="SpecSyntax", message="no YAML", file="web.yaml", line=3, spec_name="web"
)
FAILURE = Failure(
    verb="create",
    spec_digest="d1",
    count=1,
    at=NOW,
    problem=Problem.of(ErrorCode.CommandNotFound, "cannot start web: no /x"),
)


def items(desired: Desired, world: World) -> list[dict[str, Any]]:
    plan = make_plan(desired, world, all_limits(desired, world), PlanOptions())
    return status_items(PassReport(desired=desired, world=world, plan=plan))


def item(desired: Desired, world: World) -> dict[str, Any]:
    (only,) = items(desired, world)
    return only


def condition(of: dict[str, Any], kind: str) -> dict[str, Any]:
    (only,) = [one for one in of["conditions"] if one["type"] == kind]
    return dict(only)


def test_a_running_container_has_the_whole_shape_of_the_design() -> None:
    observed = make_observed(make_spec(), started_at=NOW, memory=RestartMemory(count=3))
    shown = item(make_desired(make_spec()), make_world(observed))
    assert json.loads(json.dumps(shown)) == {
        "name": "web",
        "kind": "Container",
        "source": "/etc/specs",
        "generation": 1,
        "observedGeneration": 1,
        "state": "running",
        "pid": 100,
        "restarts": 3,
        "startedAt": "1970-01-12T13:46:40.000Z",
        "lastExit": None,
        "conditions": [
            {
                "type": "Valid",
                "status": "True",
                "reason": "SpecValid",
                "message": "",
                "lastTransitionAt": None,
            },
            {
                "type": "Enforced",
                "status": "True",
                "reason": "Enforced",
                "message": "",
                "lastTransitionAt": None,
            },
            {
                "type": "Running",
                "status": "True",
                "reason": "Running",
                "message": "",
                "lastTransitionAt": "1970-01-12T13:46:40.000Z",
            },
            {
                "type": "Ready",
                "status": "True",
                "reason": "NoProbe",
                "message": "",
                "lastTransitionAt": "1970-01-12T13:46:40.000Z",
            },
            {
                "type": "Progressing",
                "status": "False",
                "reason": "Converged",
                "message": "",
                "lastTransitionAt": None,
            },
            {
                "type": "Suspended",
                "status": "False",
                "reason": "NotSuspended",
                "message": "",
                "lastTransitionAt": None,
            },
            {
                "type": "Drifted",
                "status": "False",
                "reason": "NoDrift",
                "message": "",
                "lastTransitionAt": None,
            },
        ],
    }


def ended(spec: Any, code: int | None, **fields: Any) -> Observed:
    return make_observed(spec, Status.STOPPED, last_exit=make_exit(code), **fields)


@pytest.mark.parametrize(
    ("desired", "world", "state"),
    [
        (make_desired(make_spec()), make_world(), "pending"),
        (make_desired(make_spec()), make_world(failures={"web": FAILURE}), "backoff"),
        (make_desired(make_spec()), make_world(failures={"web": FAILURE}, now=NOW + 9), "failed"),
        (make_desired(invalid=frozenset({"web"})), make_world(), "invalid"),
        (make_desired(), make_world(unobserved={"web": PROBLEM}), "unknown"),
        (make_desired(make_spec()), make_world(make_observed(make_spec())), "running"),
        (
            make_desired(make_spec()),
            make_world(make_observed(make_spec(), Status.PAUSED)),
            "paused",
        ),
        (
            make_desired(make_spec()),
            make_world(make_observed(make_spec(), Status.CREATED)),
            "created",
        ),
        (make_desired(make_spec()), make_world(ended(make_spec(), 1)), "backoff"),
        (make_desired(make_spec()), make_world(ended(make_spec(), 1), now=NOW + 9), "stopped"),
        (make_desired(JOB), make_world(ended(JOB, 0)), "completed"),
        (make_desired(JOB), make_world(ended(JOB, 1)), "failed"),
        (make_desired(JOB), make_world(ended(JOB, None)), "failed"),
        (make_desired(STOPPED), make_world(ended(STOPPED, 1)), "stopped"),
        (
            make_desired(STOPPED),
            make_world(make_observed(STOPPED, Status.CREATED)),
            "created",
        ),
    ],
)
def test_the_state_says_what_it_is_and_what_becomes_of_it(
    desired: Desired, world: World, state: str
) -> None:
    assert item(desired, world)["state"] == state


def test_an_exit_is_shown_with_code_signal_oom_and_time() -> None:
    shown = item(make_desired(JOB), make_world(ended(JOB, 3)))
    assert shown["lastExit"] == {
        "code": 3,
        "signal": None,
        "oom": False,
        "at": "1970-01-12T13:46:40.000Z",
        "text": "exit code 3",
        "memory": None,
    }
    assert condition(shown, "Running")["message"] == "exit code 3"
    assert shown["pid"] is None


def test_an_invalid_spec_is_marked_and_its_container_shown_as_it_is() -> None:
    desired = make_desired(make_spec(), invalid=frozenset({"web"}), problems=(PROBLEM,))
    shown = item(desired, make_world(make_observed(make_spec())))
    assert shown["state"] == "running"
    valid = condition(shown, "Valid")
    assert (valid["status"], valid["reason"]) == ("False", "SpecSyntax")
    assert valid["message"] == "web.yaml:3: no YAML"


def test_a_file_that_names_nothing_any_more_is_told_by_its_last_good_spec() -> None:
    """Of broken YAML nobody knows whose it is, but the file is that of a spec in force."""
    broken = replace(PROBLEM, file="/etc/specs/web.yaml", spec_name=None)
    desired = make_desired(make_spec(), invalid=frozenset({"web"}), problems=(broken,))
    shown = item(desired, make_world(make_observed(make_spec())))
    assert condition(shown, "Valid")["message"] == "/etc/specs/web.yaml:3: no YAML"


def test_one_that_cannot_start_says_why_and_when_it_is_tried_again() -> None:
    shown = item(make_desired(make_spec()), make_world(failures={"web": FAILURE}))
    running, progressing = condition(shown, "Running"), condition(shown, "Progressing")
    assert (running["status"], running["reason"]) == ("False", "CommandNotFound")
    assert running["message"] == "cannot start web: no /x"
    assert (progressing["status"], progressing["reason"]) == ("True", "Backoff")
    assert "next try at 1970-01-12T13:46:40.500Z" in progressing["message"]


def test_a_pending_change_is_told() -> None:
    changed = make_spec(user="1:1")
    shown = item(make_desired(changed), make_world(make_observed(make_spec())))
    progressing = condition(shown, "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("True", "ChangesPending")
    assert progressing["message"] == "restart web: user 65534:65534 -> 1:1"


def test_a_name_taken_by_another_owner_is_told() -> None:
    theirs = make_observed(make_spec(source="/srv/other"))
    shown = item(make_desired(make_spec()), make_world(theirs))
    assert shown["source"] == "/srv/other"
    assert condition(shown, "Progressing")["reason"] == "NotOwned"


def test_containers_of_other_sources_are_listed_too_by_name() -> None:
    theirs = make_observed(make_spec("a", source="/srv/other"))
    shown = items(make_desired(make_spec("b")), make_world(theirs))
    assert [one["name"] for one in shown] == ["a", "b"]
    assert condition(shown[0], "Valid")["status"] == "Unknown"


def test_a_crash_loop_is_failed_with_its_code_even_after_a_success() -> None:
    spec = make_spec(restart=Restart(max_attempts=2))
    observed = make_observed(
        spec,
        Status.STOPPED,
        last_exit=make_exit(0),
        memory=RestartMemory(failures=2),
        started_at=NOW - 1,
    )
    shown = item(make_desired(spec), make_world(observed, now=NOW + 999))
    assert shown["state"] == "failed"
    assert condition(shown, "Running")["reason"] == "CrashLoop"
    assert condition(shown, "Progressing")["reason"] == "CrashLoop"
    assert "2 restarts in a row" in condition(shown, "Progressing")["message"]


def test_a_job_that_was_stopped_at_its_deadline_has_failed_and_says_so() -> None:
    observed = make_observed(
        JOB, Status.STOPPED, last_exit=make_exit(0), memory=RestartMemory(is_overdue=True)
    )
    shown = item(make_desired(JOB), make_world(observed))
    assert shown["state"] == "failed"
    assert condition(shown, "Running")["reason"] == "DeadlineExceeded"
    assert condition(shown, "Running")["message"] == "its deadline had passed; exit code 0"


def test_a_job_with_a_deadline_to_come_is_not_in_a_backoff() -> None:
    spec = make_spec(kind=Kind.JOB, restart=NEVER, deadline_ns=7200 * 10**9)
    shown = item(make_desired(spec), make_world(make_observed(spec)))
    assert (shown["state"], condition(shown, "Progressing")["reason"]) == ("running", "Converged")


def suspended(observed: Observed | None, spec: Spec | None = None) -> dict[str, Any]:
    world = make_world(*([observed] if observed else []))
    return item(make_desired(spec or make_spec(command=("/bin/b",))), world)


def test_a_suspended_container_says_why_until_when_and_by_whom() -> None:
    until = Suspend(reason="under repair", until=NOW + 9)
    shown = suspended(make_observed(make_spec(), suspend=until))
    assert shown["state"] == "running"
    assert condition(shown, "Suspended") == {
        "type": "Suspended",
        "status": "True",
        "reason": "ByCommand",
        "message": "under repair, until 1970-01-12T13:46:49.000Z",
        "lastTransitionAt": None,
    }
    assert condition(shown, "Progressing")["reason"] == "Suspended"
    assert condition(suspended(None, make_spec(suspend=until)), "Suspended")["reason"] == "BySpec"


def test_a_suspended_container_that_does_not_run_is_in_no_other_state() -> None:
    assert suspended(None, make_spec(suspend=Suspend()))["state"] == "suspended"
    dead = make_observed(make_spec(), Status.STOPPED, suspend=Suspend())
    assert suspended(dead)["state"] == "suspended"
    assert condition(suspended(dead), "Running")["message"] == "exit code 1"


def test_a_container_that_was_paused_by_hand_says_so_and_how_to_resume_it() -> None:
    observed = make_observed(make_spec(), Status.PAUSED, paused_at=NOW)
    shown = item(make_desired(make_spec()), make_world(observed))
    assert (shown["state"], condition(shown, "Progressing")["reason"]) == ("paused", "Converged")
    assert condition(shown, "Running") == {
        "type": "Running",
        "status": "False",
        "reason": "PausedByHand",
        "message": "paused by hand; `reconciler resume` lets it run on",
        "lastTransitionAt": "1970-01-12T13:46:40.000Z",
    }


def test_a_new_spec_is_the_next_generation_until_it_is_in_force() -> None:
    observed = make_observed(make_spec(), generation=4)
    shown = item(make_desired(make_spec(digest="d2", labels={"a": "b"})), make_world(observed))
    assert (shown["generation"], shown["observedGeneration"]) == (5, 4)
    shown = item(make_desired(make_spec()), make_world(observed))
    assert (shown["generation"], shown["observedGeneration"]) == (4, 4)
    shown = item(make_desired(make_spec()), make_world())
    assert (shown["generation"], shown["observedGeneration"]) == (1, None)
