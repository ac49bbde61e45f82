"""Which actions of a plan wait for which, and which go on side by side."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from reconciler.control.execute import execute_plan
from reconciler.model import action as act
from tests.fakes.engine import FakeContainer, FakeEngine
from tests.unit.control.executed import BROKEN, given
from tests.unit.planning.world_model import make_spec


def plan_of(*actions: act.Action) -> act.Plan:
    return act.Plan(actions=actions)


def test_a_failure_of_one_does_not_stop_the_others(engine: FakeEngine) -> None:
    specs = [make_spec(f"c{number}") for number in range(20)]
    engine.failing["start", "c3"] = BROKEN
    plan = plan_of(*(act.Create(name=one.name, spec=one, reason="") for one in specs))
    outcomes = execute_plan(engine, plan)
    assert [one.action.name for one in outcomes] == [one.name for one in specs]
    assert [one.action.name for one in outcomes if one.error is not None] == ["c3"]
    assert len(engine.cells) == 19


def test_a_stage_begins_when_the_one_before_is_done(engine: FakeEngine) -> None:
    gone = [make_spec(f"old{number}") for number in range(10)]
    for spec in gone:
        given(engine, spec)
    new = [make_spec(f"new{number}") for number in range(10)]
    plan = plan_of(
        *(act.Destroy(name=one.name, spec=one, reason="") for one in gone),
        *(act.Create(name=one.name, spec=one, reason="") for one in new),
    )
    execute_plan(engine, plan)
    verbs = [verb for verb, _ in engine.calls]
    last_destroy = len(verbs) - 1 - verbs[::-1].index("destroy")
    assert last_destroy < verbs.index("create")


def test_independent_actions_overlap(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two starts that each wait for the other end only if both are under way at once."""
    both = threading.Barrier(2, timeout=20)
    original = engine.create

    def create(*args: Any) -> Any:
        both.wait()
        return original(*args)

    monkeypatch.setattr(engine, "create", create)
    plan = plan_of(*(act.Create(name=one, spec=make_spec(one), reason="") for one in ("web", "db")))
    assert [one.error for one in execute_plan(engine, plan)] == [None, None]


def test_graces_of_independent_containers_overlap_whatever_their_turn(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stop waits for the others: of a destroy, a stop, a recreation and a restart."""
    all_of_them = threading.Barrier(4, timeout=20)
    specs = {name: make_spec(name) for name in ("gone", "held", "anew", "again")}
    for spec in specs.values():
        given(engine, spec)
    original = FakeContainer.stop

    def stop(self: FakeContainer, signal: int, grace_ns: int) -> object:
        all_of_them.wait()
        return original(self, signal, grace_ns)

    monkeypatch.setattr(FakeContainer, "stop", stop)
    new = make_spec("new")
    plan = plan_of(
        act.Destroy(name="gone", spec=specs["gone"], reason=""),
        act.StopAction(name="held", spec=specs["held"], reason=""),
        act.Create(name="new", spec=new, reason=""),
        act.Recreate(name="anew", spec=specs["anew"], reason=""),
        act.Restart(name="again", spec=specs["again"], reason=""),
    )
    outcomes = execute_plan(engine, plan, groups={name: name for name in (*specs, "new")})
    assert [one.error for one in outcomes] == [None] * 5
    verbs = [verb.split()[0] for verb, _ in engine.calls]
    of_held = [verb for verb, name in engine.calls if name == "held"]
    ended = engine.calls.index((of_held[-1], "held"))
    assert verbs.index("create") > max(verbs.index("destroy"), ended)


def test_what_depends_on_one_another_keeps_its_turns(engine: FakeEngine) -> None:
    for name in ("db", "web", "aside"):
        given(engine, make_spec(name))
    plan = plan_of(
        act.Destroy(name="aside", spec=make_spec("aside"), reason=""),
        act.StopAction(name="web", spec=make_spec("web"), reason=""),
        act.StopAction(name="db", spec=make_spec("db"), reason="", wave=1),
        act.Start(name="lost", spec=make_spec("lost"), reason=""),
        act.Restart(name="cache", spec=make_spec("cache"), reason="", wave=1, after=("lost",)),
    )
    groups = {"db": "db", "web": "db", "aside": "aside", "lost": "lost", "cache": "lost"}
    outcomes = execute_plan(engine, plan, groups=groups)
    stops = [name for verb, name in engine.calls if verb.startswith("stop ")]
    assert stops.index("web") < stops.index("db")
    assert [one.action.name for one in outcomes if one.error is None] == ["aside", "web", "db"]
    assert "cache" not in {one.action.name for one in outcomes}  # it was to come after a failure


def test_once_told_to_stop_no_further_action_is_begun(engine: FakeEngine) -> None:
    plan = plan_of(
        act.Create(name="a", spec=make_spec("a"), reason=""),
        act.Create(name="b", spec=make_spec("b"), reason=""),
    )
    assert execute_plan(engine, plan, should_stop=lambda: True) == ()
    assert engine.calls == []
