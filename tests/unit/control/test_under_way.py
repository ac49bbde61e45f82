"""Which actions go on beside the passes, and what they hold up."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.control.notes import encode_spec
from reconciler.control.observe import observe_container
from reconciler.control.under_way import may_take_long
from reconciler.model import action as act
from reconciler.model.config import Rootfs
from tests.fakes.engine import FakeEngine
from tests.unit.planning.world_model import make_spec


def change(field: str) -> act.FieldChange:
    live = act.ChangeClass.LIVE
    return act.FieldChange(field=field, desired=1, observed=2, change_class=live)


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("kind", [act.StopAction, act.Destroy, act.Recreate])
def test_to_stop_what_runs_may_take_long(
    engine: FakeEngine, kind: type[Any], *, is_running: bool
) -> None:
    spec = make_spec(rootfs=Rootfs(path="/r"))
    container = engine.create(spec.name, spec.config, encode_spec(spec))
    if is_running:
        container.start()
    observed = observe_container(engine.handle(spec.name))
    assert observed is not None
    action = kind(name=spec.name, spec=spec, reason="test")
    assert may_take_long(action, {spec.name: observed}) is is_running


def test_what_could_not_be_looked_at_may_run() -> None:
    action = act.Destroy(name="web", spec=make_spec(), reason="test")
    assert may_take_long(action, {})


@pytest.mark.parametrize(
    ("field", "is_long"), [("resources.memory.max", True), ("resources.pids.max", False)]
)
def test_memory_that_has_to_be_given_back_may_take_long(field: str, *, is_long: bool) -> None:
    action = act.Update(name="web", spec=make_spec(), reason="test", changes=(change(field),))
    assert may_take_long(action, {}) is is_long


def test_a_start_does_not_take_long() -> None:
    assert not may_take_long(act.Create(name="web", spec=make_spec(), reason="test"), {})
