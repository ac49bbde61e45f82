"""Suspending and pausing by command: noted, and not undone by a pass."""

from __future__ import annotations

import pytest

from reconciler.control import by_hand
from reconciler.control.notes import PAUSED, SUSPEND, encode_spec
from reconciler.control.observe import observe_container
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.spec import DesiredState, Suspend
from reconciler.model.state import Status
from reconciler.model.world import Observed
from tests.fakes.engine import FakeContainer, FakeEngine
from tests.unit.planning.world_model import NOW, make_spec


def given(engine: FakeEngine, state: DesiredState = DesiredState.RUNNING) -> FakeContainer:
    spec = make_spec(state=state)
    container = engine.create("web", spec.config, encode_spec(spec))
    container.start()
    return container


def seen(engine: FakeEngine) -> Observed:
    observed = observe_container(engine.load("web"))
    assert observed is not None
    return observed


def test_a_suspension_is_observed_until_it_is_ended(engine: FakeEngine) -> None:
    container = given(engine)
    how = Suspend(reason="under repair", until=NOW + 60.5)
    by_hand.suspend(container, how)
    assert seen(engine).suspend == how
    assert by_hand.unsuspend(engine.load("web")) is True
    assert seen(engine).suspend is None
    assert by_hand.unsuspend(engine.load("web")) is False


def test_a_pause_is_noted_before_it_is_done_and_forgotten_with_the_resume(
    engine: FakeEngine,
) -> None:
    container = given(engine)
    engine.calls.clear()
    by_hand.pause(container, NOW)
    assert engine.verbs("web") == ["annotate", "pause"]
    assert (seen(engine).status, seen(engine).paused_at) == (Status.PAUSED, NOW)
    assert by_hand.resume(engine.load("web")) is True
    assert (seen(engine).status, seen(engine).paused_at) == (Status.RUNNING, None)


def test_a_pause_that_fails_leaves_no_note(engine: FakeEngine) -> None:
    container = given(engine)
    engine.end("web")
    with pytest.raises(ReconcilerError) as caught:
        by_hand.pause(container, NOW)
    assert caught.value.code is ErrorCode.ContainerNotRunning
    assert seen(engine).paused_at is None


def test_what_the_spec_pauses_stays_paused_when_the_pause_by_hand_ends(engine: FakeEngine) -> None:
    container = given(engine, DesiredState.PAUSED)
    by_hand.pause(container, NOW)
    assert by_hand.resume(engine.load("web")) is False
    assert (seen(engine).status, seen(engine).paused_at) == (Status.PAUSED, None)


def test_a_note_that_cannot_be_understood_holds_rather_than_lets_go(engine: FakeEngine) -> None:
    given(engine).annotate({SUSPEND: "?", PAUSED: "?"})
    assert seen(engine).suspend == Suspend(reason="its note cannot be understood")
    assert seen(engine).paused_at == 0.0
