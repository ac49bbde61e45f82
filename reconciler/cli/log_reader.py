"""Reads a container's output back from its log files, also while they are being rotated.

Called by `reconciler logs`. The writer is `reconciler.monitor.logs`: `log` is the current
file, `log.1` the one before, and so on; lines are the Kubernetes CRI's,
`2026-01-31T12:00:00.000000000Z stdout F text`, with P for a part of a line.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

_POLL_S = 0.1
_CHUNK = 2**16
_FIELDS = 4


class LogLine(NamedTuple):
    """One line of the log: RFC 3339 time in UTC, stream, whether it is a part, the text."""

    time: str
    stream: str
    is_part: bool
    text: bytes

    def to_json(self) -> dict[str, object]:
        """Return `{time, stream, partial, text}`; bytes that are no UTF-8 become U+FFFD."""
        text = self.text.decode(errors="replace")
        return {"time": self.time, "stream": self.stream, "partial": self.is_part, "text": text}


class LogFilter(NamedTuple):
    """Which lines are wanted: of one stream (None: both), not before a time (UTC, RFC 3339)."""

    stream: str | None = None
    since: str = ""

    def choose(self, lines: Iterator[LogLine]) -> Iterator[LogLine]:
        """Yield the wanted lines."""
        for line in lines:
            if self.stream in (None, line.stream) and line.time >= self.since:
                yield line


class LogReader:
    """The log files of one container, opened: what is renamed or removed is read all the same."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._files = [_File(file) for file in _open_files(directory)]

    def read(self, wanted: LogFilter, tail: int | None) -> Iterator[LogLine]:
        """Yield what was written so far, oldest first; only the last `tail` lines if given."""
        if tail is None:
            for file in self._files:
                yield from wanted.choose(file.read())
            return
        found: list[LogLine] = []
        for file in reversed(self._files):
            if len(found) < tail:
                found = [*wanted.choose(file.read()), *found]
        yield from found[len(found) - min(tail, len(found)) :]

    def follow(self, wanted: LogFilter, is_over: Callable[[], bool]) -> Iterator[list[LogLine]]:
        """Yield what is written from now on, in batches as it comes, until `is_over()`.

        Call it after `read`.
        """
        while True:
            was_over = is_over()  # asked first: what was written before it is still read
            newer = self._open_newer()
            lines = [line for file in self._files[-1:] for line in wanted.choose(file.read())]
            for file in newer:
                lines += wanted.choose(file.read())
            self._close_all_but_last(newer)
            if lines:
                yield lines
            elif was_over:
                return
            else:
                time.sleep(_POLL_S)

    def close(self) -> None:
        """Close all files."""
        for file in self._files:
            file.close()

    def _open_newer(self) -> list[_File]:
        """Return the files that were begun after the one that was current so far."""
        if self._files and self._files[-1].is_at(os.path.join(self._directory, "log")):
            return []
        newer: list[_File] = []
        for opened in map(_File, _open_files(self._directory)):
            newer.append(opened)
            if self._files and opened.inode == self._files[-1].inode:
                for file in newer:
                    file.close()
                newer = []
        return newer

    def _close_all_but_last(self, newer: list[_File]) -> None:
        self._files += newer
        for file in self._files[:-1]:
            file.close()
        del self._files[:-1]


class _File:
    """One open log file and what was read of a line that is not complete yet."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._rest = b""
        self.inode = os.fstat(file.fileno()).st_ino

    def is_at(self, path: str) -> bool:
        """Tell whether the path still is this file."""
        try:
            return os.stat(path).st_ino == self.inode
        except FileNotFoundError:
            return False

    def read(self) -> Iterator[LogLine]:
        """Yield the complete lines from the present position to the end."""
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)  # truncated: the way to rotate when only one file is kept
            self._rest = b""
        while chunk := self._file.read(_CHUNK):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                parsed = _parse(line)
                if parsed is not None:
                    yield parsed

    def close(self) -> None:
        self._file.close()


def _open_files(directory: str) -> list[BinaryIO]:
    """Open all log files and return them oldest first.

    Files move to higher numbers meanwhile: opened in the order of their numbers none is
    missed, and one that is met twice is known by its inode. A rename under way can leave a
    hole of one number.
    """
    opened: list[BinaryIO] = []
    inodes: set[int] = set()
    number = missing = 0
    while missing < 2:
        name = f"log.{number}" if number else "log"
        number += 1
        try:
            file = open(os.path.join(directory, name), "rb", buffering=0)  # noqa: SIM115 - kept
        except FileNotFoundError:
            missing += 1
            continue
        missing = 0
        inode = os.fstat(file.fileno()).st_ino
        if inode in inodes:
            file.close()
        else:
            inodes.add(inode)
            opened.append(file)
    return opened[::-1]


def _parse(line: bytes) -> LogLine | None:
    """Return the parsed line, or None for one that the monitor did not write."""
    fields = line.split(b" ", _FIELDS - 1)
    if len(fields) < _FIELDS:
        return None
    stamp, stream, tag, text = fields
    return LogLine(
        stamp.decode("ascii", "replace"), stream.decode("ascii", "replace"), tag == b"P", text
    )
