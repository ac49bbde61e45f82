"""Log records as structured records of systemd's journal. Loaded with the first, by `log_format`.

    MESSAGE, PRIORITY, SYSLOG_IDENTIFIER=reconciler, SYSLOG_PID, RECONCILER_LOGGER
    RECONCILER_CODE, RECONCILER_NAME         of a failure: the error code, as a number and a name
    RECONCILER_CONTAINER, RECONCILER_ACTION  and all else that a record has, as RECONCILER_FIELD

`journalctl RECONCILER_CONTAINER=web` shows one container's.
"""

from __future__ import annotations

import logging
import os
import re
from typing import Any, TextIO

from reconciler.control.log_format import Handler, JsonFormatter, fields_of
from reconciler.linux.journal import Journal, field_name

IDENTIFIER = "reconciler"
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# syslog(3): levels of the journal's PRIORITY.
_ERROR, _WARNING, _INFO, _DEBUG = "3", "4", "6", "7"


class JournalHandler(Handler):
    """Writes records to the journal; as a line to the stream when that does not take them."""

    def __init__(self, stream: TextIO, journal: Journal | None = None) -> None:
        super().__init__(stream)
        self._journal = journal or Journal()
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._journal.send(journal_fields(record))
        except OSError:  # the journal is not there: systemd keeps what comes on the stream
            super().emit(record)


def journal_fields(record: logging.LogRecord) -> dict[str, str]:
    """Return the fields of a record; those without a value are left out."""
    fields = {
        "MESSAGE": record.getMessage(),
        "PRIORITY": _priority(record.levelno),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "SYSLOG_PID": str(os.getpid()),
        "RECONCILER_LOGGER": record.name,
    }
    for name, value in fields_of(record).items():
        if value not in (None, "", []):
            fields["RECONCILER_" + field_name(_HUMPS.sub("_", name))] = _text(value)
    return fields


def _priority(level: int) -> str:
    if level >= logging.ERROR:
        return _ERROR
    if level >= logging.WARNING:
        return _WARNING
    return _INFO if level >= logging.INFO else _DEBUG


def _text(value: Any) -> str:  # noqa: ANN401  (any field's value)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
