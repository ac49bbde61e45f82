"""What becomes of a container that no file names: destroyed, frozen for a time, or left alone."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import ErrorCode
from reconciler.model.action import Freeze, Plan, WaitKind
from reconciler.model.spec import NS, DesiredState, Prune, PruneMode, Spec, Suspend
from reconciler.model.state import Status
from reconciler.model.world import Observed, Source, SourceStatus
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import (
    NOW,
    SOURCE,
    make_desired,
    make_observed,
    make_spec,
    make_world,
)

FREEZE = Prune(mode=PruneMode.FREEZE, ttl_ns=60 * NS)
ORPHAN = Prune(mode=PruneMode.ORPHAN)
KEPT = make_spec("kept")


def plan(*containers: Observed, now: float = NOW, options: dict[str, Any] | None = None) -> Plan:
    """Plan for a source whose one file is another container's."""
    world = make_world(make_observed(KEPT), *containers, now=now)
    return make_plan(make_desired(KEPT), world, {}, PlanOptions(**(options or {})))


def gone(name: str = "web", prune: Prune = FREEZE, **fields: Any) -> Observed:
    status = fields.pop("status", Status.RUNNING)
    return make_observed(make_spec(name, prune=prune), status, **fields)


@pytest.mark.parametrize("status", [Status.RUNNING, Status.PAUSED, Status.STOPPED, Status.CREATED])
def test_what_is_to_be_frozen_is_frozen_from_now_on(status: Status) -> None:
    (action,) = plan(gone(status=status)).actions
    assert isinstance(action, Freeze)
    assert action.at == NOW


@pytest.mark.parametrize("status", [Status.PAUSING, Status.PAUSED, Status.STOPPED])
def test_what_is_frozen_waits_for_its_time_to_be_over(status: Status) -> None:
    found = plan(gone(status=status, frozen_at=NOW - 20))
    assert found.actions == ()
    (wait,) = found.waits
    assert (wait.kind, wait.until) == (WaitKind.FROZEN, NOW + 40)


@pytest.mark.parametrize("status", [Status.RUNNING, Status.PAUSED, Status.STOPPED])
def test_when_the_time_is_over_it_is_destroyed(status: Status) -> None:
    (action,) = plan(gone(status=status, frozen_at=NOW - 60)).actions
    assert action.verb == "destroy"
    assert "kept frozen for 1m" in action.reason


def test_what_was_thawed_behind_our_back_is_frozen_again_and_keeps_its_time() -> None:
    (action,) = plan(gone(frozen_at=NOW - 20)).actions
    assert isinstance(action, Freeze)
    assert action.at == NOW - 20


@pytest.mark.parametrize(
    ("fields", "verb"),
    [
        ({}, "resume"),
        ({"paused_at": NOW - 50}, "update"),
    ],
)
def test_when_the_file_comes_back_it_runs_on_unless_it_was_paused_by_hand(
    fields: dict[str, Any], verb: str
) -> None:
    spec = make_spec(prune=FREEZE)
    observed = make_observed(spec, Status.PAUSED, frozen_at=NOW - 20, **fields)
    (action,) = make_plan(make_desired(spec), make_world(observed), {}, PlanOptions()).actions
    assert action.verb == verb


def back(spec: Spec, status: Status) -> str:
    observed = make_observed(make_spec(prune=FREEZE), status, frozen_at=NOW - 20)
    (action,) = make_plan(make_desired(spec), make_world(observed), {}, PlanOptions()).actions
    return action.verb


def test_a_file_that_comes_back_paused_or_stopped_is_followed() -> None:
    paused = make_spec(prune=FREEZE, state=DesiredState.PAUSED)
    assert back(paused, Status.PAUSED) == "update"
    stopped = make_spec(prune=FREEZE, state=DesiredState.STOPPED)
    assert back(stopped, Status.PAUSED) == "stop"


def test_an_orphan_is_left_alone_and_told_of() -> None:
    for status in (Status.RUNNING, Status.PAUSED, Status.STOPPED):
        found = plan(gone(prune=ORPHAN, status=status))
        assert (found.actions, found.waits, found.problems) == ((), (), ())
        assert found.orphaned == {"web"}


def test_an_orphan_whose_file_comes_back_needs_nothing() -> None:
    spec = make_spec(prune=ORPHAN)
    observed = make_observed(spec)
    found = make_plan(make_desired(spec), make_world(observed), {}, PlanOptions())
    assert (found.actions, found.orphaned) == ((), frozenset())


@pytest.mark.parametrize("mode", [PruneMode.DESTROY, PruneMode.FREEZE])
def test_too_many_at_once_are_refused_whatever_the_mode(mode: PruneMode) -> None:
    names = ["a", "b", "c", "d"]
    found = plan(*(gone(name, Prune(mode=mode)) for name in names))
    assert found.actions == ()
    assert [problem.code for problem in found.problems] == [ErrorCode.PruneRefused]
    allowed = plan(
        *(gone(name, Prune(mode=mode)) for name in names), options={"max_prune_percent": 100}
    )
    assert len(allowed.actions) == 4


def test_what_is_frozen_has_passed_the_guards() -> None:
    frozen = [gone(name, status=Status.PAUSED, frozen_at=NOW - 60) for name in "abcd"]
    found = plan(*frozen)
    assert [action.verb for action in found.actions] == ["destroy"] * 4
    assert found.problems == ()


def test_a_file_that_is_not_understood_keeps_what_is_frozen_from_being_destroyed() -> None:
    world = make_world(make_observed(KEPT), gone(status=Status.PAUSED, frozen_at=NOW - 60))
    desired = make_desired(KEPT, unknown_files=(f"{SOURCE}/x.yaml",))
    found = make_plan(desired, world, {}, PlanOptions())
    assert found.actions == ()
    assert [problem.code for problem in found.problems] == [ErrorCode.PruneRefused]


@pytest.mark.parametrize("status", [SourceStatus.MISSING, SourceStatus.UNREADABLE])
def test_a_source_that_cannot_be_read_freezes_and_destroys_nothing(status: SourceStatus) -> None:
    world = make_world(gone(), gone("old", status=Status.PAUSED, frozen_at=NOW - 60))
    desired = make_desired(sources=(Source(path=SOURCE, status=status),))
    assert make_plan(desired, world, {}, PlanOptions()).actions == ()


def test_an_empty_source_freezes_nothing_unless_told_to() -> None:
    world, desired = make_world(gone()), make_desired()
    found = make_plan(desired, world, {}, PlanOptions())
    assert found.actions == ()
    assert [problem.code for problem in found.problems] == [ErrorCode.SourceEmpty]
    told = make_plan(desired, world, {}, PlanOptions(allow_empty=True))
    assert [action.verb for action in told.actions] == ["freeze"]


def test_what_is_suspended_is_not_frozen() -> None:
    found = plan(gone(suspend=Suspend(reason="maintenance")))
    assert found.actions == ()
    assert "web" in found.suspended
