"""Ends and problems are in the journal once, whoever has found them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.control.journal import JournalReader
from reconciler.control.news import FILE
from reconciler.control.reconcile import Reconciler
from tests.fakes.engine import FakeEngine
from tests.unit.control.conftest import FakeClock

TEXT = "command: [/bin/server]\nrestart: {maxAttempts: 1, backoff: {initial: 1s}}\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "specs"
    path.mkdir()
    (path / "web.yaml").write_text(TEXT)
    return path


def told(engine: FakeEngine) -> list[tuple[str, str | None]]:
    """Return name and cause, or for problems the container, of all events so far."""
    reader = JournalReader(engine.state_dir)
    try:
        return [(one["name"], one["cause"]) for one in reader.read()]
    finally:
        reader.close()


def apply(engine: FakeEngine, clock: FakeClock, *sources: Path) -> None:
    """Make passes as a run of `apply` does: nothing is kept in memory from the one before."""
    Reconciler(engine, [str(one) for one in sources], clock=clock).converge()


def test_an_end_that_a_one_shot_run_finds_is_told_once(
    engine: FakeEngine, source: Path, clock: FakeClock
) -> None:
    apply(engine, clock, source)
    engine.end("web", None, 9)
    for _ in range(3):
        apply(engine, clock, source)
    assert told(engine) == [("create", "it does not exist"), ("exit", "killed by signal 9")]
    clock.now += 1
    apply(engine, clock, source)
    assert [name for name, _ in told(engine)] == ["create", "exit", "start"]


def test_a_crash_loop_is_told_when_it_comes_and_again_after_it_was_over(
    engine: FakeEngine, source: Path, clock: FakeClock
) -> None:
    def crash_until_given_up() -> None:
        engine.end("web", 1)
        clock.now += 1
        apply(engine, clock, source)
        clock.now += 0.5
        engine.end("web", 1)
        for _ in range(2):
            apply(engine, clock, source)

    apply(engine, clock, source)
    crash_until_given_up()
    names = [name for name, _ in told(engine)]
    assert names == ["create", "exit", "start", "exit", "CrashLoop"]
    (source / "web.yaml").write_text(TEXT.replace("server", "other"))
    clock.now += 1
    apply(engine, clock, source)
    crash_until_given_up()
    assert [name for name, _ in told(engine)].count("CrashLoop") == 2


def test_what_is_wrong_with_one_source_is_not_told_again_because_of_another(
    engine: FakeEngine, source: Path, clock: FakeClock, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "db.yaml").write_text(TEXT)
    (source / "bad.yaml").write_text("command: 5\n")
    for _ in range(3):
        apply(engine, clock, source)
        apply(engine, clock, other)
    assert [name for name, _ in told(engine)].count("SpecSchema") == 1


def test_a_look_tells_nothing_and_a_note_that_is_damaged_is_made_anew(
    engine: FakeEngine, source: Path, clock: FakeClock
) -> None:
    apply(engine, clock, source)
    engine.end("web", 1)
    Reconciler(engine, [str(source)], clock=clock).plan()
    assert [name for name, _ in told(engine)] == ["create"]
    Path(engine.run_dir, FILE).write_text("{}")
    apply(engine, clock, source)
    assert [name for name, _ in told(engine)] == ["create", "exit"]
