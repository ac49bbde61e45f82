"""The journal: what was done to containers and what became of them, one JSON line each.

    STATE_DIR/journal.jsonl     {time, code, name, object, generation, cause, message}
    STATE_DIR/journal.1.jsonl   the one before it

Written by whoever acts, in one write under the file's lock; read by `reconciler events`. A new
file is begun at 1 MiB. A journal that cannot be written stops nothing: that is logged. Values of
fields, which may be secret, are not in it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from reconciler.control.logs import log_failure
from reconciler.control.outcome import Outcome
from reconciler.errors import ReconcilerError, from_os_error
from reconciler.model.moment import format_time

FILE, OLD_FILE = "journal.jsonl", "journal.1.jsonl"
MAX_BYTES = 2**20

Event = dict[str, Any]


def make_event(
    at: float,
    name: str,
    target: str | None,
    *,
    cause: str,
    message: str,
    code: int = 0,
    generation: int | None = None,
) -> Event:
    """Return an event at `at` (wall-clock seconds).

    `name` is an action's verb, `exit`, or the name of the error whose `code` is not 0; `target`
    the container, None for what concerns no single one.
    """
    return {
        "time": format_time(at),
        "code": code,
        "name": name,
        "object": target,
        "generation": generation,
        "cause": cause,
        "message": message,
    }


def event_of(outcome: Outcome, at: float, generation: int | None) -> Event:
    """Return the event that an action is, done or failed."""
    action, error = outcome.action, outcome.error
    fields = ", ".join(change.field for change in action.changes)
    message = f"{action.verb} {action.name}" + (f": {fields}" if fields else "")
    return make_event(
        at,
        action.verb if error is None else error.code.name,
        action.name,
        code=0 if error is None else int(error.code),
        cause=action.reason,
        message=message if error is None else str(error),
        generation=generation,
    )


def append_event(state_dir: str, event: Event) -> None:
    """Add an event to the journal; log it when that cannot be."""
    line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
    try:
        _append(state_dir, line)
    except OSError as error:
        log_failure(_translated(error, "write", state_dir))


def _append(state_dir: str, line: bytes) -> None:
    path = os.path.join(state_dir, FILE)
    while True:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            size = os.fstat(fd).st_size
            if not _is_at(fd, path):
                continue  # another has begun a new file meanwhile
            if size + len(line) > MAX_BYTES and size:
                os.rename(path, os.path.join(state_dir, OLD_FILE))
                continue
            if size and os.pread(fd, 1, size - 1) != b"\n":
                line = b"\n" + line  # the line before was cut off: a full disk, a crash
            os.write(fd, line)
            return
        finally:
            os.close(fd)


def _is_at(fd: int, path: str) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


class JournalReader:
    """Reads the journal from its beginning, and then what is new with each `read`."""

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir
        # How far each file has been read. It is kept open, or its inode number could be that
        # of another file the next time.
        self._files: dict[tuple[int, int], tuple[BinaryIO, int]] = {}

    def read(self) -> Iterator[Event]:
        """Yield the events that were not yielded before, oldest first.

        Lines that cannot be understood are passed over. Raises: PermissionDenied, SystemError.
        """
        before, self._files = self._files, {}
        for name in (OLD_FILE, FILE):
            try:
                stream = open(os.path.join(self._state_dir, name), "rb")  # noqa: SIM115
                status = os.fstat(stream.fileno())
                key = (status.st_dev, status.st_ino)
                begin = before[key][1] if key in before else 0
                data = os.pread(stream.fileno(), max(0, status.st_size - begin), begin)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _translated(error, "read", self._state_dir) from error
            whole = data[: data.rfind(b"\n") + 1]
            self._files[key] = stream, begin + len(whole)
            yield from _parse(whole)
        for old, _ in before.values():
            old.close()

    def close(self) -> None:
        """Close the files."""
        for stream, _ in self._files.values():
            stream.close()


def _parse(lines: bytes) -> Iterator[Event]:
    for line in lines.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "time" in event:
            yield event


def _translated(error: OSError, verb: str, state_dir: str) -> ReconcilerError:
    path = os.path.join(state_dir, FILE)
    return from_os_error(error, f"cannot {verb} the journal", path=path)
