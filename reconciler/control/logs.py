"""Logs of the loop: what was done, one record an action; what failed, with its code.

The command line calls `configure` once; the daemon, the loader and control log through the
standard library's loggers below `reconciler`. Importing logging doubles the start-up time, so
that happens with the first record: a pass with nothing to do never pays for it.

A failure always has the fields code, name, container, operation, step, errno and path.
"""

from __future__ import annotations

from _thread import allocate_lock
from typing import TYPE_CHECKING, Any, TextIO

from reconciler.errors import ReconcilerError
from reconciler.model.frozen import frozen

if TYPE_CHECKING:
    import logging

ROOT = "reconciler"


@frozen
class Settings:
    """Where records go; `form`: text, json or journal; `level`: the standard library's name."""

    stream: TextIO
    form: str
    level: str = "INFO"


class _State:
    """What `configure` was given, until the first logger is asked for."""

    pending: Settings | None = None
    lock = allocate_lock()


def configure(stream: TextIO, *, form: str | None = None, level: str = "INFO") -> None:
    """Have records written to `stream`, as text when it is a terminal, else as JSON lines.

    `form` says which: text or json; journal: as structured records to systemd's journal, where
    the stream leads as well.
    """
    known = form or ("text" if stream.isatty() else "json")
    _State.pending = Settings(stream=stream, form=known, level=level)


def get_logger(part: str) -> logging.Logger:
    """Return the logger of a part of the program, `reconciler.PART`, configured."""
    import logging

    with _State.lock:  # a second thread must not log before the first has installed the handler
        settings, _State.pending = _State.pending, None
        if settings is not None:
            from reconciler.control.log_format import install

            install(logging.getLogger(ROOT), settings)
    return logging.getLogger(f"{ROOT}.{part}")


def log_info(message: str, **fields: Any) -> None:
    """Log what was done."""
    get_logger("control").info("%s", message, extra=fields)


def log_failure(error: ReconcilerError, **fields: Any) -> None:
    """Log an error with its code and all that is known of where it happened."""
    logger = get_logger("control")
    known = {"code": int(error.code), "error_name": error.code.name} | error.context() | fields
    if logger.isEnabledFor(10):  # logging.DEBUG
        known["detail"] = error.detail()
    logger.error("%s", error, extra=known)
