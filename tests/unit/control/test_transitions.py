"""Since when a condition is as it is: remembered from pass to pass, and only a hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.control.reconcile import Reconciler
from reconciler.control.status import status_items
from reconciler.control.transitions import FILE, read_transitions
from tests.fakes.engine import FakeEngine
from tests.unit.control.conftest import FakeClock
from tests.unit.planning.world_model import NOW

AT_NOW = "1970-01-12T13:46:40.000Z"


@pytest.fixture
def reconciler(engine: FakeEngine, clock: FakeClock, tmp_path: Path) -> Reconciler:
    source = tmp_path / "specs"
    source.mkdir()
    (source / "web.yaml").write_text("command: [sleep]\n")
    return Reconciler(engine, [str(source)], clock=clock)


def since(reconciler: Reconciler, kind: str) -> Any:
    (item,) = status_items(reconciler.plan())
    (only,) = [one for one in item["conditions"] if one["type"] == kind]
    return only["lastTransitionAt"]


def test_a_condition_keeps_its_time_while_its_status_is_the_same(
    reconciler: Reconciler, clock: FakeClock
) -> None:
    assert since(reconciler, "Valid") is None
    reconciler.converge()
    clock.now += 100
    reconciler.run_pass()
    assert since(reconciler, "Valid") == AT_NOW
    assert since(reconciler, "Suspended") == AT_NOW


def test_a_new_status_has_the_time_of_the_pass_that_saw_it(
    reconciler: Reconciler, clock: FakeClock, tmp_path: Path
) -> None:
    reconciler.converge()
    clock.now += 100
    (tmp_path / "specs" / "web.yaml").write_text("command: [sleep]\nsuspend: true\n")
    reconciler.run_pass()
    assert since(reconciler, "Suspended") == "1970-01-12T13:48:20.000Z"
    assert since(reconciler, "Valid") == AT_NOW


def test_a_pass_that_changes_no_condition_writes_nothing(
    reconciler: Reconciler, engine: FakeEngine
) -> None:
    reconciler.converge()
    before = Path(engine.run_dir, FILE).stat().st_ino
    reconciler.run_pass()
    assert Path(engine.run_dir, FILE).stat().st_ino == before


@pytest.mark.parametrize("text", ["", "[]", '{"web": 3}', '{"web": {"Valid": [1]}}'])
def test_a_memory_that_cannot_be_understood_is_none(
    reconciler: Reconciler, engine: FakeEngine, text: str
) -> None:
    Path(engine.run_dir, FILE).write_text(text)
    assert read_transitions(engine.run_dir) == {}
    reconciler.converge()
    assert read_transitions(engine.run_dir)["web"]["Valid"] == ("True", NOW)
