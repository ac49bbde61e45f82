"""Passes that look at a few containers alone come to what a look at everything comes to."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.control.continuous import ContinuousReconciler
from reconciler.control.progress import Progress
from reconciler.control.reconcile import Reconciler
from reconciler.control.report import PassReport
from reconciler.control.status import status_items
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.planning.plan import PlanOptions
from tests.fakes.engine import FakeContainer, FakeEngine
from tests.unit.control.conftest import FakeClock

AT_ONCE = "restart: {backoff: {initial: 0s, max: 0s}}\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "specs"
    path.mkdir()
    return path


@pytest.fixture
def passes(
    engine: FakeEngine, source: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> ContinuousReconciler:
    made = ContinuousReconciler(
        engine,
        [str(source)],
        options=PlanOptions(),
        should_stop=lambda: False,
        progress=Progress(),
        on_done=lambda: None,
    )
    monkeypatch.setattr(made, "_clock", clock)
    return made


@pytest.fixture
def looked(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names that are looked at, as they come."""
    names: list[str] = []
    handle = engine.handle

    def note(name: str) -> FakeContainer:
        names.append(name)
        return handle(name)

    monkeypatch.setattr(engine, "handle", note)
    return names


def write(source: Path, name: str, text: str = AT_ONCE) -> None:
    (source / f"{name}.yaml").write_text(f"command: [/bin/{name}]\n{text}")


def done(report: PassReport) -> list[str]:
    return [f"{one.action.verb} {one.action.name}" for one in report.outcomes]


def test_what_has_ended_is_looked_at_and_started_alone(
    engine: FakeEngine, source: Path, passes: ContinuousReconciler, looked: list[str]
) -> None:
    for name in ("a", "b", "c"):
        write(source, name)
    passes.run_pass()
    engine.end("b", code=1)
    looked.clear()
    report = passes.run_pass(names={"b"})
    assert done(report) == ["start b"]
    assert set(looked) == {"b"}
    assert report.world.containers.keys() == {"a", "b", "c"}
    assert report.to_do() == ()


def test_what_depends_on_it_is_looked_at_with_it(
    engine: FakeEngine, source: Path, passes: ContinuousReconciler, looked: list[str]
) -> None:
    write(source, "db")
    write(source, "web", AT_ONCE + "dependsOn: {db: {condition: started, restart: true}}\n")
    write(source, "other")
    passes.run_pass()
    engine.end("db", code=1)
    looked.clear()
    engine.calls.clear()
    passes.run_pass(names={"db"})
    assert set(looked) == {"db", "web"}
    assert passes.close(30) == frozenset()
    assert "start" in engine.verbs("db")
    assert engine.verbs("web")[-1] == "start"


@pytest.mark.parametrize("text", ["", "command: [\n"], ids=["no file", "a broken file"])
def test_what_no_valid_file_names_has_everything_looked_at(
    engine: FakeEngine,
    source: Path,
    passes: ContinuousReconciler,
    looked: list[str],
    text: str,
) -> None:
    for name in ("a", "b", "c"):
        write(source, name)
    passes.run_pass()
    if text:
        (source / "b.yaml").write_text(text)
    else:
        (source / "b.yaml").unlink()
    engine.end("b", code=1)
    passes.run_pass()
    looked.clear()
    passes.run_pass(names={"b"})
    assert {"a", "c"} <= set(looked)


def test_a_failure_of_another_is_remembered(
    engine: FakeEngine, source: Path, passes: ContinuousReconciler
) -> None:
    write(source, "a", "")
    write(source, "b")
    engine.failing["start", "a"] = ReconcilerError(ErrorCode.CommandNotFound, "no such command")
    passes.run_pass()
    engine.end("b", code=1)
    report = passes.run_pass(names={"b"})
    assert done(report) == ["start b"]
    assert report.world.failures.keys() == {"a"}
    assert [wait.name for wait in report.plan.waits] == ["a"]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_a_look_at_all_finds_the_same(
    engine: FakeEngine, source: Path, passes: ContinuousReconciler, clock: FakeClock, seed: int
) -> None:
    chance = random.Random(seed)
    texts = [
        "",
        AT_ONCE,
        "restart: {maxAttempts: 2}\n",
        "restart: {policy: never}\n",
        "dependsOn: {a: started}\n",
        "dependsOn: {b: ready}\n",
    ]
    names = "abcdef"
    for name in names:
        write(source, name, chance.choice(texts[: 4 if name in "ab" else 6]))
    report = passes.run_pass()
    events: list[Callable[[str], None]] = [
        lambda name: engine.end(name, code=chance.choice([0, 1, 78])),
        lambda name: clock.__dict__.update(now=clock.now + chance.choice([0.1, 1, 40])),
    ]
    for _ in range(25):
        name = chance.choice(names)
        if name not in engine.cells or engine.cells[name].record.exit is None:
            chance.choice(events)(name)
        due = report.due_by(clock.now)
        report = passes.run_pass(names={name} | due)
        whole = Reconciler(engine, [str(source)], clock=clock).plan()
        assert report.plan == whole.plan
        assert report.world.containers == whole.world.containers
        assert status_items(report) == status_items(whole)
