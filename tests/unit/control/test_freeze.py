"""Freezing what no file names: carried out, noted, forgotten; and how status shows it."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.control.execute import run_action
from reconciler.control.notes import FROZEN, decode_frozen, encode_paused, encode_spec
from reconciler.control.observe import observe_container
from reconciler.control.report import PassReport
from reconciler.control.status import status_items
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model import action as act
from reconciler.model.spec import NS, DesiredState, Prune, PruneMode, Spec
from reconciler.model.state import Status
from reconciler.model.world import Observed
from reconciler.planning.plan import PlanOptions, make_plan
from tests.fakes.engine import FakeEngine
from tests.unit.planning.world_model import NOW, make_desired, make_observed, make_spec, make_world

FREEZE = Prune(mode=PruneMode.FREEZE, ttl_ns=60 * NS)


@pytest.fixture
def web(engine: FakeEngine) -> Spec:
    """Return the spec of a container that runs."""
    spec = make_spec(prune=FREEZE)
    engine.create("web", spec.config, encode_spec(spec)).start()
    engine.calls.clear()
    return spec


def run(engine: FakeEngine, kind: type[Any], spec: Spec, **fields: Any) -> ReconcilerError | None:
    return run_action(engine, kind(name="web", spec=spec, reason="test", **fields)).error


def seen(engine: FakeEngine) -> Observed:
    observed = observe_container(engine.load("web"))
    assert observed is not None
    return observed


def test_a_freeze_is_noted_before_it_is_done(engine: FakeEngine, web: Spec) -> None:
    assert run(engine, act.Freeze, web, at=7.0) is None
    verbs = [verb for verb in engine.verbs("web") if verb in ("annotate", "pause")]
    assert verbs == ["annotate", "pause"]
    assert (seen(engine).status, seen(engine).frozen_at) == (Status.PAUSED, 7.0)


def test_a_freeze_that_is_cut_off_is_still_taken_for_ours(engine: FakeEngine, web: Spec) -> None:
    engine.failing["pause", "web"] = ReconcilerError(ErrorCode.SystemError, "no freezer")
    assert run(engine, act.Freeze, web, at=7.0) is not None
    assert (seen(engine).status, seen(engine).frozen_at) == (Status.RUNNING, 7.0)


def test_a_second_freeze_keeps_the_first_time(engine: FakeEngine, web: Spec) -> None:
    run(engine, act.Freeze, web, at=7.0)
    engine.load("web").resume()
    run(engine, act.Freeze, web, at=9.0)
    assert (seen(engine).status, seen(engine).frozen_at) == (Status.PAUSED, 7.0)


def test_what_has_ended_is_noted_alone(engine: FakeEngine, web: Spec) -> None:
    engine.end("web")
    assert run(engine, act.Freeze, web, at=7.0) is None
    assert (seen(engine).status, seen(engine).frozen_at) == (Status.STOPPED, 7.0)


@pytest.mark.parametrize("kind", [act.Resume, act.Update])
def test_all_that_follows_the_file_again_forgets_the_note(
    engine: FakeEngine, web: Spec, kind: type[Any]
) -> None:
    run(engine, act.Freeze, web, at=7.0)
    assert run(engine, kind, web) is None
    assert seen(engine).frozen_at is None


def test_a_note_that_cannot_be_read_begins_the_time_anew() -> None:
    assert decode_frozen({FROZEN: "soon"}) is None
    assert decode_frozen({FROZEN: "7.5"}) == 7.5


def test_what_was_paused_by_hand_is_paused_after_a_start_too(engine: FakeEngine, web: Spec) -> None:
    engine.load("web").annotate(encode_paused(NOW))
    engine.end("web")
    assert run(engine, act.Start, web) is None
    assert seen(engine).status is Status.PAUSED


def test_an_update_brings_about_the_state_that_is_among_its_changes(
    engine: FakeEngine, web: Spec
) -> None:
    for wanted, status in ((DesiredState.PAUSED, Status.PAUSED), ("running", Status.RUNNING)):
        change = act.FieldChange(
            field="state", desired=wanted, observed=None, change_class=act.ChangeClass.LIVE
        )
        assert run(engine, act.Update, web, changes=(change,)) is None
        assert seen(engine).status is status


def progressing(observed: Observed) -> tuple[str, dict[str, Any]]:
    desired, world = make_desired(make_spec("kept")), make_world(observed)
    plan = make_plan(desired, world, {}, PlanOptions())
    items = status_items(PassReport(desired=desired, world=world, plan=plan))
    (item,) = (one for one in items if one["name"] == "web")
    (found,) = (one for one in item["conditions"] if one["type"] == "Progressing")
    return item["state"], found


def test_status_tells_until_when_a_container_is_kept_frozen() -> None:
    spec = make_spec(prune=FREEZE)
    for status, state in ((Status.PAUSED, "paused"), (Status.STOPPED, "failed")):
        shown, found = progressing(make_observed(spec, status, frozen_at=NOW))
        assert (shown, found["reason"]) == (state, "Frozen")
        assert (
            "destroyed at 1970-01-12T13:47:40.000Z, unless its file comes back" in found["message"]
        )


def test_status_tells_who_may_remove_an_orphan() -> None:
    spec = make_spec(prune=Prune(mode=PruneMode.ORPHAN))
    shown, found = progressing(make_observed(spec))
    assert (shown, found["reason"]) == ("running", "Orphaned")
    assert "`reconciler destroy` removes it" in found["message"]
