"""Containers that depend on one another: the order of a plan, waiting for others, runs noted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.control.notes import RUNS, decode_runs, encode_runs
from reconciler.control.patience import Patience
from reconciler.control.plan_file import Instance, SavedPlan
from reconciler.control.reconcile import Reconciler
from reconciler.control.report import PassReport
from reconciler.control.status import status_items
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.action import Create
from reconciler.model.state import Status
from reconciler.planning.plan import PlanOptions
from tests.fakes.engine import FakeEngine, FakeExits
from tests.unit.control.conftest import FakeClock
from tests.unit.planning.world_model import make_spec

BROKEN = ReconcilerError(ErrorCode.CommandNotFound, "cannot start db: no such command")
Make = Callable[..., Reconciler]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "specs"
    path.mkdir()
    return path


@pytest.fixture
def make(engine: FakeEngine, source: Path, clock: FakeClock) -> Make:
    def make_reconciler(**options: Any) -> Reconciler:
        return Reconciler(engine, [str(source)], options=PlanOptions(**options), clock=clock)

    return make_reconciler


def write(source: Path, name: str, depends_on: str = "", *, kind: str = "Container") -> None:
    text = f"kind: {kind}\ncommand: [/bin/{name}]\ndependsOn: {{{depends_on}}}\n"
    (source / f"{name}.yaml").write_text(text)


def test_apply_shows_what_the_next_pass_waits_for(
    engine: FakeEngine, source: Path, make: Make, clock: FakeClock
) -> None:
    """Also where its retry of what failed has to wait for another container."""
    write(source, "db", "")
    write(source, "web", "db: started")
    engine.failing["start", "web"] = BROKEN
    make().converge()
    engine.end("db", code=0)
    report = make().converge()
    assert [wait.name for wait in report.plan.waits] == ["db", "web"]
    assert report.plan == make().run_pass().plan


def done(report: PassReport) -> list[str]:
    return [f"{one.action.verb} {one.action.name}" for one in report.outcomes]


def starts(engine: FakeEngine) -> list[str]:
    return [name for verb, name in engine.calls if verb == "start"]


def test_a_chain_starts_in_order_in_one_pass_and_goes_the_other_way(
    engine: FakeEngine, source: Path, make: Make
) -> None:
    write(source, "a", "b: started")
    write(source, "b", "c: ready")
    write(source, "c")
    assert done(make().run_pass()) == ["create c", "create b", "create a"]
    assert starts(engine) == ["c", "b", "a"]
    for name in "abc":
        (source / f"{name}.yaml").unlink()
    engine.calls.clear()
    assert done(make(allow_empty=True).converge()) == ["destroy a", "destroy b", "destroy c"]
    stops = [name for verb, name in engine.calls if verb.startswith("stop ")]
    assert stops == ["a", "b", "c"]


def test_after_a_start_that_failed_those_that_depend_on_it_are_not_tried(
    engine: FakeEngine, source: Path, make: Make
) -> None:
    write(source, "web", "db: started")
    write(source, "other")
    write(source, "db")
    engine.failing["start", "db"] = BROKEN
    report = make().run_pass()
    assert done(report) == ["create db", "create other"]
    assert ("create", "web") not in engine.calls
    (wait,) = report.unmet()
    assert wait.reason == (
        "it waits for db to be started: cannot start db: no such command; it is tried again"
    )
    assert not report.is_awaiting()


def test_what_waits_is_shown_with_what_it_waits_for(
    engine: FakeEngine, source: Path, make: Make
) -> None:
    write(source, "web", "db: completed")
    write(source, "db", kind="Job")
    report = make().converge()
    assert done(report) == ["create db"]
    shown = {item["name"]: item for item in status_items(report)}
    assert shown["web"]["state"] == "waiting"
    (progressing,) = [one for one in shown["web"]["conditions"] if one["type"] == "Progressing"]
    assert progressing["status"] == "True"
    assert progressing["reason"] == "DependencyNotMet"
    assert progressing["message"] == "it waits for db to be completed: it still runs"
    assert report.next_due() is None
    engine.end("db", 1)
    (stuck,) = make().plan().unmet()
    assert not stuck.can_come


def test_repeated_passes_go_on_where_the_last_one_ended(
    engine: FakeEngine, source: Path, make: Make
) -> None:
    write(source, "web", "db: completed")
    write(source, "db", kind="Job")
    assert done(make().converge()) == ["create db"]
    assert done(make().converge()) == []
    engine.end("db", 0)
    assert done(make().converge()) == ["create web"]


def test_an_exit_wakes_what_waits_for_it_at_once(
    engine: FakeEngine, source: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first job ends between two looks, each of the next ones while it is waited for."""
    names = [f"j{number}" for number in range(8)]
    for number, name in enumerate(names):
        write(source, name, f"j{number - 1}: completed" if number else "", kind="Job")
    listens = threading.Event()
    exits = engine.exits

    def subscribe() -> FakeExits:
        stream = exits()
        listens.set()
        return stream

    def end_jobs() -> None:
        listens.wait(60)
        for name in names:
            while name not in engine.cells or engine.cells[name].status is not Status.RUNNING:
                pass
            engine.end(name, 0)

    monkeypatch.setattr(engine, "exits", subscribe)
    thread = threading.Thread(target=end_jobs)
    thread.start()
    report = make().converge(wait_s=300)
    thread.join()
    assert done(report) == [f"create {name}" for name in names]
    assert report.unmet() == ()
    assert all(stream.is_closed for stream in engine.streams)


def test_what_cannot_come_is_not_waited_for(engine: FakeEngine, source: Path, make: Make) -> None:
    write(source, "web", "ghost: started")
    report = make().converge(wait_s=300)
    assert [wait.name for wait in report.unmet()] == ["web"]
    assert engine.streams == []


def test_the_lock_is_free_while_others_are_waited_for(
    engine: FakeEngine, source: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source, "web", "db: completed")
    write(source, "db", kind="Job")
    was_locked: list[bool] = []
    read = FakeExits.read

    def note_and_end(stream: FakeExits) -> list[Any]:
        was_locked.append(engine.is_locked)
        return read(stream)

    monkeypatch.setattr(FakeExits, "read", note_and_end)
    monkeypatch.setattr(FakeExits, "fileno", lambda stream: end_job(engine, stream))
    assert done(make().converge(wait_s=300)) == ["create db", "create web"]
    assert was_locked == [False]


def end_job(engine: FakeEngine, stream: FakeExits) -> int:
    """End the job just as it begins to be waited for."""
    engine.end("db", 0)
    return stream.fd


def test_a_new_run_restarts_what_declares_it_and_nothing_else(
    engine: FakeEngine, source: Path, make: Make, clock: FakeClock
) -> None:
    write(source, "app", "db: {restart: true}")
    write(source, "web", "app: {restart: true}")
    write(source, "other", "db: started")
    write(source, "db")
    make().converge()
    assert decode_runs(engine.cells["app"].record.annotations) == {"db": clock.now}
    assert RUNS not in engine.cells["other"].record.annotations
    clock.now -= 1000  # a clock that is set back
    engine.end("db", 1)
    clock.now += 1
    report = make().converge()
    assert done(report) == ["stop web", "start db", "restart app", "start web"]
    assert make().plan().plan.actions == ()


def test_a_dependency_that_is_declared_later_counts_from_then_on(
    engine: FakeEngine, source: Path, make: Make, clock: FakeClock
) -> None:
    write(source, "web")
    write(source, "db")
    make().converge()
    write(source, "web", "db: {restart: true}")
    assert done(make().converge()) == ["update web"]
    assert done(make().converge()) == []
    clock.now += 1
    engine.end("db", 1)
    clock.now += 1
    assert done(make().converge()) == ["start db", "restart web"]
    write(source, "web")
    make().converge()
    clock.now += 60
    engine.end("db", 1)
    clock.now += 60
    assert done(make().converge()) == ["start db"]


def test_a_dependency_that_is_made_anew_is_a_new_run(
    engine: FakeEngine, source: Path, make: Make, clock: FakeClock
) -> None:
    write(source, "web", "db: {restart: true}")
    write(source, "db")
    make().converge()
    clock.now += 1
    write(source, "db", kind="Job")
    assert done(make().converge()) == ["stop web", "recreate db", "start web"]
    assert make().plan().plan.actions == ()


def test_a_saved_plan_starts_again_what_it_stops_for_a_restart(
    engine: FakeEngine, source: Path, make: Make, clock: FakeClock
) -> None:
    write(source, "web", "db: {restart: true}")
    write(source, "db")
    make().converge()
    clock.now += 1
    write(source, "db", kind="Job")
    instance = Instance(
        run_dir=engine.run_dir,
        state_dir=engine.state_dir,
        cgroup_parent=None,
        sources=(str(source),),
    )
    saved = SavedPlan.of(make().plan(), instance, PlanOptions())
    assert done(make().apply_saved(saved)) == ["stop web", "recreate db", "start web"]
    assert make().plan().plan.actions == ()


def test_notes_of_runs_that_cannot_be_read_are_none() -> None:
    runs = {"db": 1763942400.123456, "cache": None}
    encoded = encode_runs(runs)[RUNS]
    assert encoded is not None
    assert decode_runs({RUNS: encoded}) == runs
    for text in ("[1]", "{", '{"db": "x"}'):
        assert decode_runs({RUNS: text}) == {}
    assert encode_runs({}) == {RUNS: None}


def test_patience_ends_with_a_container_and_not_with_a_long_chain() -> None:
    patience = Patience(3)
    actions = [
        Create(name=name, spec=make_spec(name), reason="test") for name in map(str, range(50))
    ]
    assert all(patience.lasts_for([action]) for action in actions)
    assert [patience.lasts_for(actions[:1]) for _ in range(3)] == [True, True, False]
    assert patience.lasts_for(actions[:2])
    assert not patience.lasts_for([])
    patience.renew()
    assert patience.lasts_for(actions[:1])
