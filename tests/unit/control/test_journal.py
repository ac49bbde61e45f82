"""The journal: every action is a line of it, it is bounded, and trouble with it stops nothing."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.control import journal
from reconciler.control.execute import run_action
from reconciler.control.journal import FILE, OLD_FILE, JournalReader, append_event, make_event
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.action import ChangeClass, Create, FieldChange, Update
from tests.fakes.engine import FakeEngine
from tests.unit.planning.world_model import NOW, make_spec


def note(state_dir: Path, number: int) -> None:
    event = make_event(NOW, "exit", f"web-{number}", cause="exit code 1", message="x" * 50)
    append_event(str(state_dir), event)


def note_many(state_dir: Path) -> None:
    for number in range(20):
        note(state_dir, number)


def objects(reader: JournalReader) -> list[str]:
    return [event["object"] for event in reader.read()]


def all_objects(state_dir: Path | str) -> list[str]:
    with closing(JournalReader(str(state_dir))) as reader:
        return objects(reader)


def test_an_action_is_a_line_and_a_failed_one_has_its_code(engine: FakeEngine) -> None:
    spec = make_spec()
    run_action(engine, Create(name="web", spec=spec, reason="it does not exist"))
    secret = FieldChange(
        field="env.TOKEN", desired="s3cret", observed=None, change_class=ChangeClass.RESTART
    )
    error = ReconcilerError(ErrorCode.PermissionDenied, "cannot update web: no")
    engine.failing["annotate", "web"] = error
    changed = make_spec(labels={"a": "b"})
    run_action(engine, Update(name="web", spec=changed, reason="changed", changes=(secret,)))
    with closing(JournalReader(engine.state_dir)) as reader:
        done, failed = reader.read()
    assert list(done) == ["time", "code", "name", "object", "generation", "cause", "message"]
    assert (done["code"], done["name"], done["object"]) == (0, "create", "web")
    assert (done["cause"], done["message"]) == ("it does not exist", "create web")
    assert (failed["code"], failed["name"]) == (37, "PermissionDenied")
    assert "s3cret" not in Path(engine.state_dir, FILE).read_text()


def test_a_reader_yields_each_event_once_also_over_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_BYTES", 400)
    reader = JournalReader(str(tmp_path))
    assert objects(reader) == []
    seen = []
    for number in range(9):
        note(tmp_path, number)
        seen += objects(reader)
    reader.close()
    assert seen == [f"web-{number}" for number in range(9)]


def test_it_never_grows_beyond_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_BYTES", 1000)
    for number in range(100):
        note(tmp_path, number)
    assert sorted(os.listdir(tmp_path)) == [OLD_FILE, FILE]
    assert all((tmp_path / name).stat().st_size <= 1000 for name in (FILE, OLD_FILE))
    assert all_objects(tmp_path)[-1] == "web-99"


def test_many_writers_at_once_lose_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_BYTES", 20_000)  # one change of files, none lost
    threads = [threading.Thread(target=note_many, args=(tmp_path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(all_objects(tmp_path)) == 160


def test_a_line_that_was_cut_off_hides_no_other(tmp_path: Path) -> None:
    note(tmp_path, 1)
    with (tmp_path / FILE).open("a") as stream:
        stream.write('{"time": "20')
    note(tmp_path, 2)
    assert all_objects(tmp_path) == ["web-1", "web-2"]


def test_a_journal_that_cannot_be_written_is_logged_and_stops_nothing(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    Path(engine.state_dir, FILE).mkdir()
    spec = make_spec()
    assert run_action(engine, Create(name="web", spec=spec, reason="new")).error is None
    assert "cannot write the journal" in caplog.text
