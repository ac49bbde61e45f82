from __future__ import annotations

import io
import json
import logging
import socket

import pytest

from reconciler.control.log_journal import JournalHandler
from reconciler.linux.journal import Journal


def record(level: int, message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("reconciler.control", level, "", 0, message, (), None)
    made.__dict__.update(fields)
    return made


def fields_in(data: bytes) -> dict[str, str]:
    return dict(line.split("=", 1) for line in data.decode().splitlines())


def test_a_failure_has_its_code_container_and_action_as_fields(listener: socket.socket) -> None:
    journal = Journal(listener.getsockname())
    failure = record(
        logging.ERROR,
        "cannot start web: no such command",
        code=30,
        error_name="CommandNotFound",
        container="web",
        action="start",
        durationMs=12,
        fields=[],
    )
    JournalHandler(io.StringIO(), journal).emit(failure)
    fields = fields_in(listener.recv(4096))
    journal.close()
    assert fields.pop("SYSLOG_PID").isdecimal()
    assert fields == {
        "MESSAGE": "cannot start web: no such command",
        "PRIORITY": "3",
        "SYSLOG_IDENTIFIER": "reconciler",
        "RECONCILER_LOGGER": "reconciler.control",
        "RECONCILER_CODE": "30",
        "RECONCILER_NAME": "CommandNotFound",
        "RECONCILER_CONTAINER": "web",
        "RECONCILER_ACTION": "start",
        "RECONCILER_DURATION_MS": "12",
    }


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, "7"), (logging.INFO, "6"), (logging.WARNING, "4"), (logging.ERROR, "3")],
)
def test_levels_are_syslogs(listener: socket.socket, level: int, priority: str) -> None:
    journal = Journal(listener.getsockname())
    JournalHandler(io.StringIO(), journal).emit(record(level, "said"))
    assert fields_in(listener.recv(4096))["PRIORITY"] == priority
    journal.close()


def test_what_the_journal_does_not_take_goes_to_the_stream() -> None:
    stream = io.StringIO()
    journal = Journal("/no/such/socket")
    JournalHandler(stream, journal).emit(record(logging.INFO, "said", container="web"))
    journal.close()
    line = json.loads(stream.getvalue())
    assert (line["message"], line["container"]) == ("said", "web")
