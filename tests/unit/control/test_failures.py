"""The file of failures: kept, counted, cleared, and never fatal."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.control.failures import FILE, next_failures, read_failures, write_failures
from reconciler.control.outcome import Outcome
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.action import Create, Start
from reconciler.model.world import Failure
from tests.unit.planning.world_model import NOW, make_spec

ERROR = ReconcilerError(ErrorCode.CommandNotFound, "cannot start web: no /x", container="web")


def outcome(error: ReconcilerError | None = ERROR, digest: str = "d1") -> Outcome:
    action = Create(name="web", spec=make_spec(digest=digest), reason="")
    return Outcome(action=action, error=error, duration_ns=1)


def failures(*outcomes: Outcome, before: dict[str, Failure] | None = None) -> dict[str, Failure]:
    return next_failures(before or {}, outcomes, {"web"}, NOW)


def test_a_failure_is_kept_with_what_went_wrong() -> None:
    failure = failures(outcome())["web"]
    assert (failure.verb, failure.spec_digest, failure.count, failure.at) == (
        "create",
        "d1",
        1,
        NOW,
    )
    assert (failure.problem.name, failure.problem.message) == (
        "CommandNotFound",
        "cannot start web: no /x",
    )


def test_failures_in_a_row_are_counted_and_a_new_spec_begins_at_one() -> None:
    twice = failures(outcome(), before=failures(outcome()))
    assert twice["web"].count == 2
    assert failures(outcome(digest="d2"), before=twice)["web"].count == 1


def test_a_start_after_a_failed_create_counts_on() -> None:
    start = Start(name="web", spec=make_spec(), reason="")
    again = Outcome(action=start, error=ERROR, duration_ns=1)
    assert failures(again, before=failures(outcome()))["web"].count == 2


def test_success_clears_it_and_so_does_the_name_being_gone() -> None:
    before = failures(outcome())
    assert failures(outcome(error=None), before=before) == {}
    assert next_failures(before, (), set(), NOW) == {}


def test_they_come_back_from_the_file_and_no_failure_is_no_file(tmp_path: Path) -> None:
    kept = failures(outcome())
    assert read_failures(str(tmp_path)) == {}
    write_failures(str(tmp_path), kept)
    assert read_failures(str(tmp_path)) == kept
    write_failures(str(tmp_path), {})
    write_failures(str(tmp_path), {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"web": 1}', '{"web": {"verb": 1}}'])
def test_a_damaged_file_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ReconcilerError) as caught:
        read_failures(str(tmp_path))
    assert caught.value.code is ErrorCode.RecordCorrupt
    assert caught.value.path == str(tmp_path / FILE)


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReconcilerError) as caught:
        write_failures(str(tmp_path / "file" / "below"), failures(outcome()))
    assert caught.value.code is ErrorCode.SystemError


def test_a_file_that_cannot_be_replaced_says_so(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(ReconcilerError):
        write_failures(str(tmp_path), failures(outcome()))
