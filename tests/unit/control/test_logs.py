"""Log records as JSON lines and as text, configured with the first of them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.control import logs
from reconciler.errors import ErrorCode, ReconcilerError

ERROR = ReconcilerError(
    ErrorCode.StepFailed,
    "cannot start web: cannot mount /proc",
    container="web",
    operation="start",
    step="mount proc on /proc",
    errno=1,
    path="/proc",
)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the loggers as they were."""
    logger = logging.getLogger("reconciler")
    before = (list(logger.handlers), logger.level, logger.propagate)
    yield
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_failure_is_one_json_line_with_all_its_fields() -> None:
    stream = io.StringIO()
    logs.configure(stream)
    logs.log_failure(ERROR, action="create")
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "error",
        "logger": "reconciler.control",
        "message": "cannot start web: cannot mount /proc",
        "code": 42,
        "name": "StepFailed",
        "container": "web",
        "operation": "start",
        "step": "mount proc on /proc",
        "errno": "EPERM",
        "path": "/proc",
        "action": "create",
    }


def test_what_is_not_known_of_a_failure_is_null() -> None:
    stream = io.StringIO()
    logs.configure(stream)
    logs.log_failure(ReconcilerError(ErrorCode.LockTimeout, "no lock"))
    (line,) = lines(stream)
    assert {name: line[name] for name in ("container", "operation", "step", "errno", "path")} == {
        "container": None,
        "operation": None,
        "step": None,
        "errno": None,
        "path": None,
    }


def test_records_of_every_part_go_to_the_one_stream() -> None:
    stream = io.StringIO()
    logs.configure(stream)
    logs.get_logger("watch")
    logging.getLogger("reconciler.loader").warning("cache", extra={"code": 41})
    assert [line["logger"] for line in lines(stream)] == ["reconciler.loader"]


def test_text_is_for_people() -> None:
    stream = io.StringIO()
    logs.configure(stream, form="text")
    logs.log_info("restart web", fields=["env.A", "user"], reason="its spec changed", empty="")
    text = stream.getvalue()
    assert text[8:].startswith(" info    restart web  fields=env.A,user reason=")
    assert text.endswith('reason="its spec changed"\n')


def test_a_stack_trace_comes_with_debug_alone() -> None:
    for level, is_there in (("INFO", False), ("DEBUG", True)):
        stream = io.StringIO()
        logs.configure(stream, form="text", level=level)
        logs.log_failure(ERROR)
        assert ("stack trace:" in stream.getvalue()) is is_there


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    full = open("/dev/full", "w")  # noqa: SIM115  (closing it fails, too)
    logs.configure(full, form="json")
    logs.log_info("restart web")
    (handler,) = logging.getLogger("reconciler").handlers
    assert handler.__dict__["lost"] == 1
    with pytest.raises(OSError, match="No space left"):
        full.close()


def test_until_something_is_logged_logging_is_not_loaded() -> None:
    program = (
        "import sys; from reconciler.control import logs; logs.configure(sys.stderr);"
        "import reconciler.control.reconcile; print('logging' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"
