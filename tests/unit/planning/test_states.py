"""The state table and the changes: one container, one next action."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.action import Action, Plan, Restart, Start, StopAction, Update
from reconciler.model.config import Rootfs
from reconciler.model.spec import DesiredState, Kind
from reconciler.model.state import Status
from reconciler.model.world import Observed, RestartMemory
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import (
    all_limits,
    make_desired,
    make_exit,
    make_observed,
    make_resources,
    make_spec,
    make_world,
)

RUNNING, PAUSED, STOPPED = DesiredState.RUNNING, DesiredState.PAUSED, DesiredState.STOPPED


def plan_one(spec: Any, *observed: Observed, **fields: Any) -> Plan:
    desired, world = make_desired(spec), make_world(*observed, **fields)
    return make_plan(desired, world, all_limits(desired, world), PlanOptions())


def action_of(plan: Plan) -> Action:
    (action,) = plan.actions
    assert plan.waits == ()
    assert plan.problems == ()
    return action


def test_a_container_that_is_not_there_is_created() -> None:
    action = action_of(plan_one(make_spec()))
    assert (action.verb, action.name) == ("create", "web")


@pytest.mark.parametrize(
    ("desired", "status", "verb"),
    [
        (RUNNING, Status.CREATED, "start"),
        (RUNNING, Status.RUNNING, None),
        (RUNNING, Status.PAUSING, "resume"),
        (RUNNING, Status.PAUSED, "resume"),
        (RUNNING, Status.STOPPED, "start"),
        (PAUSED, Status.CREATED, "start"),
        (PAUSED, Status.RUNNING, "pause"),
        (PAUSED, Status.PAUSING, None),
        (PAUSED, Status.PAUSED, None),
        (PAUSED, Status.STOPPED, "start"),
        (STOPPED, Status.CREATED, None),
        (STOPPED, Status.RUNNING, "stop"),
        (STOPPED, Status.PAUSING, "stop"),
        (STOPPED, Status.PAUSED, "stop"),
        (STOPPED, Status.STOPPED, None),
    ],
)
def test_the_state_table_holds(desired: DesiredState, status: Status, verb: str | None) -> None:
    spec = make_spec(state=desired)
    ended = {"last_exit": make_exit(1, at=0.0)} if status is Status.STOPPED else {}
    plan = plan_one(spec, make_observed(spec, status, **ended))
    assert [action.verb for action in plan.actions] == ([verb] if verb else [])


@pytest.mark.parametrize("status", [one for one in Status if one is not Status.DESTROYED])
@pytest.mark.parametrize("change", [{"kind": Kind.JOB}, {"rootfs": Rootfs(overlay=True)}])
def test_what_cannot_change_in_place_is_recreated_in_every_state(
    status: Status, change: dict[str, Any]
) -> None:
    action = action_of(plan_one(make_spec(**change), make_observed(make_spec(), status)))
    assert action.verb == "recreate"


@pytest.mark.parametrize("status", [Status.RUNNING, Status.PAUSED])
def test_a_new_command_restarts_what_runs_and_forgets_its_failures(status: Status) -> None:
    memory = RestartMemory(count=3, failures=3)
    action = action_of(
        plan_one(make_spec(command=("/bin/b",)), make_observed(make_spec(), status, memory=memory))
    )
    assert isinstance(action, Restart)
    assert action.memory == RestartMemory(count=3, failures=0)
    assert action.describe().startswith("restart web: command [/bin/server] -> [/bin/b]")


def test_a_new_limit_is_applied_to_what_runs_without_a_restart() -> None:
    action = action_of(
        plan_one(make_spec(resources=make_resources(pids=9)), make_observed(make_spec()))
    )
    assert isinstance(action, Update)
    assert action.reason == "its spec changed"


def test_a_limit_changed_behind_our_back_is_put_right() -> None:
    spec = make_spec(resources=make_resources(pids=9))
    action = action_of(plan_one(spec, make_observed(spec, limits={"resources.pids.max": 99})))
    assert isinstance(action, Update)
    assert action.reason == "its limits were changed behind the reconciler's back"
    assert action.describe() == "update web: resources.pids.max 99 -> 9"


def test_limits_go_before_a_pause_that_follows_in_the_next_pass() -> None:
    spec = make_spec(resources=make_resources(pids=9), state=PAUSED)
    assert action_of(plan_one(spec, make_observed(make_spec()))).verb == "update"


def test_new_labels_do_not_delay_a_pause() -> None:
    spec = make_spec(labels={"a": "b"}, state=PAUSED)
    assert action_of(plan_one(spec, make_observed(make_spec()))).verb == "pause"


def test_what_is_to_be_stopped_is_stopped_whatever_else_changed() -> None:
    spec = make_spec(state=STOPPED, command=("/bin/b",), resources=make_resources(pids=9))
    assert isinstance(action_of(plan_one(spec, make_observed(make_spec()))), StopAction)


@pytest.mark.parametrize("status", [Status.CREATED, Status.STOPPED])
def test_a_change_of_what_is_to_stay_stopped_is_recorded(status: Status) -> None:
    before = make_observed(make_spec(state=STOPPED), status)
    action = action_of(plan_one(make_spec(state=STOPPED, command=("/bin/b",)), before))
    assert isinstance(action, Update)


def test_a_container_that_was_stopped_by_its_spec_starts_when_the_spec_says_so() -> None:
    before = make_observed(make_spec(state=STOPPED), Status.STOPPED, last_exit=make_exit(0))
    action = action_of(plan_one(make_spec(state=RUNNING), before))
    assert isinstance(action, Start)
    assert action.memory.count == 0


def test_an_action_describes_itself_by_its_reason_where_no_field_differs() -> None:
    assert action_of(plan_one(make_spec())).describe() == "create web: it does not exist"
    paused = plan_one(make_spec(), make_observed(make_spec(), Status.PAUSED))
    assert action_of(paused).describe() == "resume web: state paused -> running"
