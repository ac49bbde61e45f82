"""What tests of actions share: containers that are there, and what became of an action."""

from __future__ import annotations

import signal
from typing import Any

from reconciler.control.execute import run_action
from reconciler.control.notes import encode_memory, encode_spec
from reconciler.control.observe import observe_container
from reconciler.control.outcome import Outcome
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model import action as act
from reconciler.model.spec import Spec
from reconciler.model.world import Observed, RestartMemory
from tests.fakes.engine import FakeEngine

TERM, INT = int(signal.SIGTERM), int(signal.SIGINT)
BROKEN = ReconcilerError(ErrorCode.CommandNotFound, "cannot start web: no such command")


def given(engine: FakeEngine, spec: Spec, *, started: bool = True) -> None:
    container = engine.create(
        spec.name, spec.config, encode_spec(spec) | encode_memory(RestartMemory(count=1))
    )
    if started:
        container.start()
    engine.calls.clear()


def run(engine: FakeEngine, kind: type[Any], spec: Spec, **fields: Any) -> Outcome:
    return run_action(engine, kind(name=spec.name, spec=spec, reason="test", **fields))


def seen(engine: FakeEngine, name: str = "web") -> Observed:
    observed = observe_container(engine.load(name))
    assert observed is not None
    return observed


def changed(*fields: str) -> tuple[act.FieldChange, ...]:
    live = act.ChangeClass.LIVE
    return tuple(
        act.FieldChange(field=one, desired=1, observed=2, change_class=live) for one in fields
    )
