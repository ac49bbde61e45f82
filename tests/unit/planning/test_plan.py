"""The plan as a whole: order, owners, invalid specs, broken records, failures and JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.errors import ErrorCode
from reconciler.model.action import Plan
from reconciler.model.frozen import replace
from reconciler.model.spec import DesiredState
from reconciler.model.state import Status
from reconciler.model.world import Desired, Failure, Problem, World
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import (
    NOW,
    make_desired,
    make_observed,
    make_resources,
    make_spec,
    make_world,
)

BROKEN = Problem.of(ErrorCode.RecordCorrupt, "cannot understand the record of container web")


def plan_with(desired: Desired, world: World, **options: Any) -> Plan:
    return make_plan(desired, world, {}, PlanOptions(**options))


def test_destroys_go_first_then_stops_then_updates_then_starts_by_name() -> None:
    to_stop = make_spec("m-stop", state=DesiredState.STOPPED)
    to_pause = make_spec("m-pause", state=DesiredState.PAUSED)
    to_update = make_spec("a-update", resources=make_resources(pids=5))
    to_restart = make_spec("b-restart", command=("/bin/b",))
    desired = make_desired(
        make_spec("a-new"), make_spec("z-new"), to_stop, to_update, to_pause, to_restart
    )
    before = ("m-stop", "a-update", "m-pause", "b-restart", "z-gone", "a-gone")
    plan = plan_with(desired, make_world(*(make_observed(make_spec(name)) for name in before)))
    assert [(action.verb, action.name) for action in plan.actions] == [
        ("destroy", "a-gone"),
        ("destroy", "z-gone"),
        ("stop", "m-stop"),
        ("update", "a-update"),
        ("pause", "m-pause"),
        ("create", "a-new"),
        ("restart", "b-restart"),
        ("create", "z-new"),
    ]


@pytest.mark.parametrize(
    ("observed", "owner"),
    [
        (make_observed(make_spec(source="/srv/other")), "/srv/other"),
        (replace(make_observed(make_spec()), spec=None), "somebody else"),
    ],
)
def test_a_name_that_another_owner_has_is_a_problem_and_is_not_touched(
    observed: Any, owner: str
) -> None:
    plan = plan_with(make_desired(make_spec(command=("/bin/b",))), make_world(observed))
    assert not plan.actions
    (problem,) = plan.problems
    assert problem.name == "NotOwned"
    assert problem.file == "/etc/specs/web.yaml"
    assert owner in problem.message


def test_an_invalid_spec_is_kept_converged_on_what_it_was() -> None:
    """Its file is in trouble, so that its spec is not among the desired ones."""
    world = make_world(make_observed(make_spec(), Status.PAUSED), make_observed(make_spec("db")))
    trouble = Problem(code=101, name="SpecSyntax", message="no YAML", spec_name="web")
    desired = make_desired(make_spec("db"), invalid=frozenset({"web"}), problems=(trouble,))
    plan = plan_with(desired, world)
    assert [(action.verb, action.name) for action in plan.actions] == [("resume", "web")]
    assert plan.problems == (trouble,)


def test_an_invalid_spec_that_never_was_does_nothing() -> None:
    plan = plan_with(make_desired(make_spec("db"), invalid=frozenset({"web"})), make_world())
    assert [action.name for action in plan.actions] == ["db"]


def test_an_invalid_name_of_another_owner_is_not_touched() -> None:
    theirs = make_observed(make_spec(source="/srv/other"), Status.PAUSED)
    plan = plan_with(make_desired(invalid=frozenset({"web"})), make_world(theirs))
    assert not plan.actions


def test_a_broken_record_of_a_desired_container_is_replaced() -> None:
    (action,) = plan_with(make_desired(make_spec()), make_world(unobserved={"web": BROKEN})).actions
    assert (action.verb, action.reason) == ("recreate", BROKEN.message)


def test_a_container_that_cannot_be_looked_at_is_not_touched() -> None:
    trouble = Problem.of(ErrorCode.PermissionDenied, "cannot read the freezer of web")
    plan = plan_with(make_desired(make_spec()), make_world(unobserved={"web": trouble}))
    assert not plan.actions
    assert plan.problems == (trouble,)


def test_a_broken_record_that_no_spec_names_is_a_problem() -> None:
    plan = plan_with(make_desired(), make_world(unobserved={"web": BROKEN}))
    assert not plan.actions
    assert plan.problems == (BROKEN,)


def failed(verb: str, count: int = 1, digest: str = "d1") -> Failure:
    problem = Problem.of(ErrorCode.CommandNotFound, "cannot start web: /bin/server is not there")
    return Failure(verb=verb, spec_digest=digest, count=count, at=NOW, problem=problem)


@pytest.mark.parametrize("verb", ["create", "start", "restart", "recreate"])
def test_what_could_not_start_is_tried_again_after_the_backoff(verb: str) -> None:
    def plan_after(seconds: float) -> Any:
        world = make_world(failures={"web": failed(verb, count=2)}, now=NOW + seconds)
        return plan_with(make_desired(make_spec()), world)

    early = plan_after(0.9)
    assert not early.actions
    (wait,) = early.waits
    assert (wait.until, wait.attempts) == (NOW + 1, 2)
    assert wait.reason == "cannot start web: /bin/server is not there"
    assert [action.verb for action in plan_after(1).actions] == ["create"]


@pytest.mark.parametrize(
    ("failure", "options"),
    [
        (failed("create", digest="another"), {}),  # the spec was changed
        (failed("pause"), {}),  # something else failed
        (failed("create"), {"retry_failed": True}),
    ],
)
def test_what_failed_otherwise_does_not_hold_it_up(failure: Failure, options: Any) -> None:
    world = make_world(failures={"web": failure})
    assert len(plan_with(make_desired(make_spec()), world, **options).actions) == 1


def test_a_failed_destroy_waits_too() -> None:
    world = make_world(make_observed(make_spec()), failures={"web": failed("destroy")})
    plan = plan_with(make_desired(), world, allow_empty=True)
    assert not plan.actions
    assert len(plan.waits) == 1


def test_a_problem_is_told_once() -> None:
    trouble = Problem(code=112, name="SourceEmpty", message="same")
    plan = plan_with(make_desired(problems=(trouble, trouble)), make_world())
    assert plan.problems == (trouble,)


def test_json_has_the_shape_of_the_design() -> None:
    trouble = Problem(code=101, name="SpecSyntax", message="no YAML", file="a.yaml", line=2)
    desired = make_desired(make_spec(command=("/bin/b", "-v")), problems=(trouble,))
    plan = plan_with(desired, make_world(make_observed(make_spec())))
    assert json.loads(json.dumps(plan.to_json())) == {
        "actions": [
            {
                "action": "restart",
                "name": "web",
                "reason": "its spec changed",
                "changes": [
                    {
                        "field": "command",
                        "desired": ["/bin/b", "-v"],
                        "observed": ["/bin/server"],
                        "class": "restart",
                    }
                ],
            }
        ],
        "waits": [],
        "problems": [
            {
                "code": 101,
                "name": "SpecSyntax",
                "message": "no YAML",
                "file": "a.yaml",
                "line": 2,
                "column": None,
                "field": None,
            }
        ],
    }
