"""What a user suspended or paused stays as it is, and the plan says so."""

from __future__ import annotations

import pytest

from reconciler.errors import ErrorCode
from reconciler.model.action import Plan, Wait, WaitKind
from reconciler.model.frozen import replace
from reconciler.model.spec import DesiredState, Spec, Suspend
from reconciler.model.state import Status
from reconciler.model.world import Observed
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import (
    NOW,
    all_limits,
    make_desired,
    make_observed,
    make_spec,
    make_world,
)

FOR_GOOD = Suspend(reason="under repair")
FOR_NOW = Suspend(until=NOW + 9)


def plan(spec: Spec | None, observed: Observed | None) -> Plan:
    desired = make_desired(make_spec("other"), *([spec] if spec else []))
    others = make_observed(make_spec("other"))
    world = make_world(others, *([observed] if observed else []))
    return make_plan(desired, world, all_limits(desired, world), PlanOptions())


CHANGED = make_spec(command=("/bin/b",))
STATES = [
    (CHANGED, make_observed(make_spec(), suspend=FOR_GOOD)),
    (CHANGED, make_observed(make_spec(), Status.STOPPED, suspend=FOR_GOOD)),
    (make_spec(), make_observed(make_spec(), Status.PAUSED, suspend=FOR_GOOD)),
    (None, make_observed(make_spec(), suspend=FOR_GOOD)),
    (make_spec(suspend=FOR_GOOD), None),
    (make_spec(suspend=FOR_GOOD, command=("/bin/b",)), make_observed(make_spec())),
]


@pytest.mark.parametrize(("spec", "observed"), STATES)
def test_nothing_is_done_to_what_is_suspended(spec: Spec | None, observed: Observed | None) -> None:
    assert plan(spec, observed) == Plan(suspended={"web": FOR_GOOD})


def test_the_end_of_a_suspension_is_waited_for() -> None:
    assert plan(CHANGED, make_observed(make_spec(), suspend=FOR_NOW)).waits == (
        Wait(
            name="web",
            until=NOW + 9,
            reason="it is suspended: until 1970-01-12T13:46:49.000Z",
            kind=WaitKind.SUSPENDED,
        ),
    )


def test_a_suspension_that_is_over_is_none() -> None:
    made = plan(CHANGED, make_observed(make_spec(), suspend=Suspend(until=NOW)))
    assert ([one.verb for one in made.actions], made.suspended) == (["restart"], {})


def test_a_command_goes_before_the_spec_and_either_is_enough() -> None:
    spec = make_spec(suspend=FOR_GOOD)
    assert plan(spec, make_observed(make_spec(), suspend=FOR_NOW)).suspended == {"web": FOR_NOW}
    over = make_observed(make_spec(), suspend=Suspend(until=NOW - 1))
    assert plan(spec, over).suspended == {"web": FOR_GOOD}


def test_what_is_not_ours_is_a_problem_even_if_the_spec_suspends_it() -> None:
    theirs = replace(make_observed(make_spec()), spec=None)
    made = plan(make_spec(suspend=FOR_GOOD), theirs)
    assert [problem.code for problem in made.problems] == [ErrorCode.NotOwned]


def test_what_was_paused_by_hand_is_not_resumed() -> None:
    paused = make_observed(make_spec(), Status.PAUSED, paused_at=NOW - 5)
    assert plan(make_spec(), paused) == Plan()


def test_what_was_paused_by_hand_is_paused_again_when_something_resumed_it() -> None:
    (action,) = plan(make_spec(), make_observed(make_spec(), paused_at=NOW - 5)).actions
    assert (action.verb, action.reason) == ("pause", "it is running, not paused")


def test_a_new_spec_is_applied_to_what_was_paused_by_hand_and_a_stop_stops_it() -> None:
    paused = make_observed(make_spec(), Status.PAUSED, paused_at=NOW - 5)
    assert [one.verb for one in plan(CHANGED, paused).actions] == ["restart"]
    stopped = make_spec(state=DesiredState.STOPPED)
    assert [one.verb for one in plan(stopped, paused).actions] == ["stop"]
