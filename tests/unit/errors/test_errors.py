"""The error tree: one short line, all context in detail() and to_json(), OSError translated."""

from __future__ import annotations

import errno
import json

import pytest

from reconciler.errors import ConfigInvalid, ErrorCode, ReconcilerError, from_os_error


def raise_with_cause() -> None:
    try:
        open("/nonexistent/file").close()
    except OSError as error:
        raise from_os_error(error, "cannot read the spec", container="web") from error


def test_str_is_the_message_alone() -> None:
    error = ReconcilerError(ErrorCode.UserNotFound, "cannot find user bob", container="web")
    assert str(error) == "cannot find user bob"


def test_detail_has_code_context_notes_cause_and_stack_trace() -> None:
    with pytest.raises(ReconcilerError) as caught:
        raise_with_cause()
    caught.value.add_note("could not remove the cgroup")
    lines = caught.value.detail().splitlines()
    assert lines[0].startswith("SystemError (10): cannot read the spec: No such file")
    assert "  container: web" in lines
    assert "  errno: ENOENT" in lines
    assert "  path: /nonexistent/file" in lines
    assert "  note: could not remove the cgroup" in lines
    assert any(line.startswith("  cause: FileNotFoundError:") for line in lines)
    assert any("in raise_with_cause" in line for line in lines)


def test_json_has_the_place_always_and_the_context_where_known() -> None:
    error = ReconcilerError(
        ErrorCode.SpecValue, "bad", file="web.yaml", line=3, column=9, field="user", errno=13
    )
    assert json.loads(json.dumps(error.to_json())) == {
        "code": 103,
        "name": "SpecValue",
        "message": "bad",
        "file": "web.yaml",
        "line": 3,
        "column": 9,
        "field": "user",
        "errno": "EACCES",
    }
    assert ReconcilerError(ErrorCode.Internal, "bug").to_json() == {
        "code": 199,
        "name": "Internal",
        "message": "bug",
        **dict.fromkeys(("file", "line", "column", "field")),
    }


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EPERM, ErrorCode.PermissionDenied),
        (errno.EACCES, ErrorCode.PermissionDenied),
        (errno.ENOSPC, ErrorCode.NoSpace),
        (errno.EDQUOT, ErrorCode.NoSpace),
        (errno.EIO, ErrorCode.StepFailed),
    ],
)
def test_an_os_error_gets_the_code_of_its_errno_or_the_given_one(
    number: int, code: ErrorCode
) -> None:
    error = from_os_error(OSError(number, "why", "/a/path"), "cannot go", ErrorCode.StepFailed)
    assert (error.code, error.errno, error.path) == (code, number, "/a/path")
    assert str(error) == "cannot go: why (/a/path)"


def test_a_path_that_the_message_names_is_not_repeated() -> None:
    error = from_os_error(OSError(errno.EIO, "why", "/a/path"), "cannot read /a/path")
    assert str(error) == "cannot read /a/path: why"


def test_an_os_error_without_errno_keeps_its_text() -> None:
    assert str(from_os_error(OSError("timed out"), "cannot go")) == "cannot go: timed out"


def test_an_errno_that_has_no_name_is_shown_as_a_number() -> None:
    error = ReconcilerError(ErrorCode.SystemError, "cannot go", errno=9999)
    assert error.context()["errno"] == "9999"


def test_config_invalid_shows_each_problem_in_detail() -> None:
    problems = [ReconcilerError(ErrorCode.SpecValue, f"problem {n}") for n in (1, 2)]
    error = ConfigInvalid("2 problems", problems, container="web")
    assert error.code is ErrorCode.ConfigInvalid
    assert error.detail().splitlines()[:3] == [
        "problem 1",
        "problem 2",
        "ConfigInvalid (9): 2 problems",
    ]
