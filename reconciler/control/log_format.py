"""Log records as JSON lines or as text for people. Loaded with the first record, by `logs`.

A log that cannot be written (a full disk, a closed pipe) stops nothing: the record is dropped
and counted.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any, TextIO

from reconciler.model.moment import format_time
from reconciler.model.printable import printable

if TYPE_CHECKING:
    from reconciler.control.logs import Settings

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message"}
_FAILURE_FIELDS = ("code", "name", "container", "operation", "step", "errno", "path")


class Handler(logging.StreamHandler[TextIO]):
    """Writes records to a stream; `lost` counts those that could not be written."""

    lost = 0

    def handleError(self, record: logging.LogRecord) -> None:
        self.lost += 1


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", ...fields}`, one line a record."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": format_time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(line | fields_of(record), default=str)


class TextFormatter(logging.Formatter):
    """`12:00:00 error   cannot start web: ...  code=30 name=CommandNotFound container=web`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        detail = fields.pop("detail", None)
        known = " ".join(f"{name}={_text(value)}" for name, value in fields.items() if value)
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname.lower():7} {record.getMessage()}"
        return printable("\n".join(filter(None, (f"{line}  {known}" if known else line, detail))))


def install(logger: logging.Logger, settings: Settings) -> Handler:
    """Have the records of `logger` and those below it written to one place alone."""
    if settings.form == "journal":
        from reconciler.control.log_journal import JournalHandler

        handler: Handler = JournalHandler(settings.stream)
    else:
        handler = Handler(settings.stream)
        handler.setFormatter(JsonFormatter() if settings.form == "json" else TextFormatter())
    logger.handlers = [handler]
    logger.setLevel(settings.level)
    logger.propagate = False
    return handler


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was logged beside the message; all fields of a failure when it has a code.

    A record's own attribute `name` is its logger's, so that of an error comes as `error_name`.
    """
    fields = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
    if "error_name" in fields:
        fields["name"] = fields.pop("error_name")
    if "code" in fields:
        fields = {name: fields.pop(name, None) for name in _FAILURE_FIELDS} | fields
    return fields


def _text(value: Any) -> str:  # noqa: ANN401  (any field's value)
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f'"{text}"' if " " in text else text
