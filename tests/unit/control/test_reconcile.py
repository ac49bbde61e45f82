"""Passes over real files, with the real loader and planner and an engine in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.control.failures import FILE, read_failures, write_failures
from reconciler.control.reconcile import MAX_PASSES, Reconciler
from reconciler.control.report import PassReport
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.state import Status
from reconciler.model.world import Failure, Problem
from reconciler.planning.plan import PlanOptions
from tests.fakes.engine import FakeEngine
from tests.unit.control.conftest import FakeClock
from tests.unit.planning.world_model import NOW

BROKEN = ReconcilerError(ErrorCode.CommandNotFound, "cannot start web: no such command")
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


def write(source: Path, name: str, text: str = "command: [/bin/server]") -> None:
    (source / f"{name}.yaml").write_text(text + "\n")


def done(report: PassReport) -> list[tuple[str, str, bool]]:
    return [(one.action.verb, one.action.name, one.error is None) for one in report.outcomes]


def statuses(engine: FakeEngine) -> dict[str, Status]:
    return {name: cell.status for name, cell in engine.cells.items()}


def test_files_become_containers_and_a_second_pass_finds_nothing(
    engine: FakeEngine, source: Path, make: Make
) -> None:
    write(source, "web")
    write(source, "db", "command: [/bin/db]\nstate: paused")
    report = make().converge()
    assert done(report) == [("create", "db", True), ("create", "web", True)]
    assert statuses(engine) == {"db": Status.PAUSED, "web": Status.RUNNING}
    assert (report.plan.actions, report.exit_code()) == ((), 0)
    assert sorted(report.world.containers) == ["db", "web"]
    engine.calls.clear()
    assert done(make().converge()) == []
    assert {verb for verb, _ in engine.calls} <= {"status", "limits"}


def test_every_kind_of_edit_is_followed(engine: FakeEngine, source: Path, make: Make) -> None:
    write(source, "web")
    make().converge()
    limit = "resources: {pids: {max: 9}}"
    other = "command: [/bin/other]\nrootfs: {path: /srv}"
    for text, verbs in [
        (f"command: [/bin/server]\n{limit}", ["update"]),
        (f"command: [/bin/other]\n{limit}", ["restart"]),
        (other, ["recreate"]),
        (f"{other}\nlabels: {{a: b}}", ["update"]),
        (f"{other}\nstate: paused\n{limit}", ["update"]),
        (f"{other}\nstate: stopped", ["stop"]),
        (other, ["start"]),
    ]:
        write(source, "web", text)
        report = make().converge()
        assert [verb for verb, _, _ in done(report)] == verbs, text
        assert not make().plan().plan.actions


def test_a_deleted_file_destroys_its_container(
    engine: FakeEngine, source: Path, make: Make
) -> None:
    write(source, "web")
    write(source, "db")
    make().converge()
    (source / "db.yaml").unlink()
    assert done(make().converge()) == [("destroy", "db", True)]
    assert list(engine.cells) == ["web"]


def test_a_plan_changes_nothing_and_takes_no_lock(
    engine: FakeEngine, source: Path, make: Make
) -> None:
    write(source, "web")
    engine.is_locked = True
    report = make().plan()
    assert [action.verb for action in report.plan.actions] == ["create"]
    assert (report.exit_code(), report.exit_code(detailed=True)) == (0, 2)
    assert engine.cells == {}


def test_a_pass_needs_the_lock(engine: FakeEngine, make: Make) -> None:
    engine.is_locked = True
    for method in (make().run_pass, make().converge):
        with pytest.raises(ReconcilerError) as caught:
            method(lock_timeout_s=0)
        assert caught.value.code is ErrorCode.LockTimeout


def test_the_lock_is_given_back_whatever_happens(
    engine: FakeEngine, source: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source, "web")
    engine.failing["create", "web"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        make().converge()
    assert not engine.is_locked


def test_an_invalid_file_keeps_its_container_and_is_told(
    engine: FakeEngine, source: Path, make: Make
) -> None:
    write(source, "web")
    write(source, "db")
    make().converge()
    write(source, "web", "command: [")
    engine.cells["web"].status = Status.PAUSED
    report = make().converge()
    assert done(report) == [("resume", "web", True)]
    assert report.exit_code() == 3
    assert report.desired.invalid == {"web"}


def test_an_invalid_file_keeps_its_container_without_the_loaders_memory_too(
    engine: FakeEngine, source: Path, make: Make, tmp_path: Path
) -> None:
    write(source, "web")
    make().converge()
    write(source, "web", "command: [")
    engine.state_dir = str(tmp_path / "another")
    report = make(max_prune_percent=100, allow_empty=True).converge()
    assert done(report) == []
    assert statuses(engine) == {"web": Status.RUNNING}


def test_what_was_only_looked_at_is_no_last_good_spec(
    engine: FakeEngine, source: Path, make: Make
) -> None:
    write(source, "web")
    make().converge()
    write(source, "web", "command: [/bin/other]")
    assert [action.verb for action in make().plan().plan.actions] == ["restart"]
    assert make().drift()[0].plan.actions
    write(source, "web", "command: [")
    assert done(make().converge()) == []
    assert engine.cells["web"].record.config.command == ("/bin/server",)


def test_an_empty_source_prunes_nothing_and_is_refused(
    engine: FakeEngine, source: Path, make: Make
) -> None:
    write(source, "web")
    make().converge()
    (source / "web.yaml").unlink()
    assert make().converge().exit_code() == 4
    assert list(engine.cells) == ["web"]
    assert make(allow_empty=True).converge().exit_code() == 0
    assert engine.cells == {}


def test_a_missing_source_prunes_nothing_and_is_a_failure(
    engine: FakeEngine, source: Path, make: Make
) -> None:
    write(source, "web")
    make().converge()
    source.rename(source.parent / "moved")
    assert make(allow_empty=True).converge().exit_code() == 1
    assert list(engine.cells) == ["web"]


def test_what_cannot_start_is_remembered_and_retried_with_backoff(
    engine: FakeEngine, source: Path, make: Make, clock: FakeClock
) -> None:
    write(source, "web")
    write(source, "db")
    engine.failing["start", "web"] = BROKEN
    report = make().converge()
    assert done(report) == [("create", "db", True), ("create", "web", False)]
    assert report.exit_code() == 1
    assert list(engine.cells) == ["db"]
    assert report.world.failures["web"].problem.name == "CommandNotFound"

    report = make().run_pass()  # as the daemon does: too early
    assert (done(report), report.exit_code(), report.next_due()) == ([], 1, clock.now + 0.5)
    clock.now += 0.5
    report = make().run_pass()
    assert done(report) == [("create", "web", False)]
    assert report.next_due() == clock.now + 1

    del engine.failing["start", "web"]
    report = make().converge()  # as a user does: tried at once
    assert (done(report), report.exit_code()) == ([("create", "web", True)], 0)
    assert not os.path.exists(os.path.join(engine.run_dir, FILE))


def test_a_repaired_spec_is_tried_at_once(engine: FakeEngine, source: Path, make: Make) -> None:
    write(source, "web", "command: [/bin/typo]")
    engine.failing["start", "web"] = BROKEN
    make().run_pass()
    del engine.failing["start", "web"]
    write(source, "web", "command: [/bin/right]")
    assert done(make().run_pass()) == [("create", "web", True)]


def test_failures_that_cannot_be_written_are_still_known_to_this_run(
    engine: FakeEngine, source: Path, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    write(source, "web")
    os.mkdir(os.path.join(engine.run_dir, FILE))
    engine.failing["start", "web"] = BROKEN
    report = make().converge()
    assert done(report) == [("create", "web", False)]
    assert report.exit_code() == 1
    assert "cannot write the list of failures" in caplog.text


def test_a_crash_is_restarted_after_its_backoff(
    engine: FakeEngine, source: Path, make: Make, clock: FakeClock
) -> None:
    write(source, "web", "command: [/bin/server]\nrestart: {backoff: {initial: 2s}}")
    make().converge()
    engine.end("web", 1)
    report = make().converge()
    assert (done(report), report.next_due(), report.exit_code()) == ([], clock.now + 2, 0)
    clock.now += 2
    assert done(make().converge()) == [("start", "web", True)]
    assert statuses(engine) == {"web": Status.RUNNING}


def test_a_convergence_that_does_not_end_is_bounded(
    engine: FakeEngine, source: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody thaws the container each time that it was frozen."""
    write(source, "web", "command: [/bin/server]\nstate: paused")
    original = engine.store.ids

    def contested() -> list[str]:
        for cell in engine.cells.values():
            cell.status = Status.RUNNING
        return original()

    monkeypatch.setattr(engine.store, "ids", contested)
    report = make().converge()
    assert len(report.outcomes) == MAX_PASSES
    assert report.plan.actions


def test_once_told_to_stop_nothing_more_is_begun(
    engine: FakeEngine, source: Path, clock: FakeClock
) -> None:
    write(source, "web")
    reconciler = Reconciler(engine, [str(source)], clock=clock, should_stop=lambda: True)
    assert done(reconciler.converge()) == []
    assert engine.cells == {}


def test_a_failure_of_what_is_as_it_should_be_is_forgotten(
    engine: FakeEngine, source: Path, make: Make
) -> None:
    """An action may have failed with its work done: nothing is left that could succeed."""
    write(source, "web")
    make().converge()
    problem = Problem.from_error(BROKEN)
    failure = Failure(verb="update", spec_digest="x", count=1, at=NOW, problem=problem)
    write_failures(engine.run_dir, {"web": failure, "of-another-source": failure})
    make().plan()
    assert read_failures(engine.run_dir).keys() == {"web", "of-another-source"}
    make().converge()
    assert read_failures(engine.run_dir).keys() == {"of-another-source"}
