"""Container output to bounded files: time stamps, rotation, and survival of a full disk.

Called by the monitor's loop when a FIFO is readable. Lines are the Kubernetes CRI's:
`2026-01-31T12:00:00.000000000Z stdout F text`; the tag is P for a part of an unended line.
Files: `LOG_DIR/log` (current), `log.1` (the one before) ... `log.N`.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

from reconciler.lean import Iterator, Sequence, contextmanager
from reconciler.linux.clock import wall_ns

READ_SIZE = 65536
_LINE_MAX = 16384
_FIONREAD = 0x541B  # asm-generic/ioctls.h
_INT_SIZE = 4


class LogFile:
    """The current log file of one container, rotated at `max_size` bytes, `max_files` in all."""

    def __init__(self, directory: str, max_size: int, max_files: int) -> None:
        self.path = os.path.join(directory, "log")
        self.max_size = max_size
        self.max_files = max_files
        self.lost_bytes = 0
        self.error: str | None = None  # the last one
        self._reported_bytes = 0
        self._fd = -1
        self._size = 0

    def write(self, lines: bytes) -> None:
        """Append whole lines; count them as lost when the disk has no room (or no directory)."""
        try:
            self._ensure_open()
            while lines:
                fitting = self._fitting(lines)
                self._append(lines[:fitting])
                lines = lines[fitting:]
                if lines:
                    self._rotate()
        except OSError as error:
            self.lost_bytes += len(lines)
            self.error = error.strerror
            self.close()

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _fitting(self, lines: bytes) -> int:
        """Return how many bytes, in whole lines, the current file has room for."""
        room = self.max_size - self._size
        if len(lines) <= room:
            return len(lines)
        fitting = lines.rfind(b"\n", 0, max(room, 0)) + 1
        if fitting == 0 and self._size == 0:
            return lines.find(b"\n") + 1  # a line longer than a file has one to itself
        return fitting

    def _ensure_open(self) -> None:
        if self._fd >= 0:
            return
        os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self.path, flags, 0o600)
        self._size = os.fstat(self._fd).st_size

    def _append(self, lines: bytes) -> None:
        """Write all or nothing: half a line would spoil the next one."""
        if not lines:
            return
        if self.lost_bytes > self._reported_bytes:
            lost = self.lost_bytes - self._reported_bytes
            text = f"[reconciler: {lost} bytes of output lost: {self.error}]"
            lines = _stamp(wall_ns()) + b" stderr F " + text.encode() + b"\n" + lines
        written = 0
        try:
            while written < len(lines):
                written += os.write(self._fd, lines[written:])
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += written
        self._reported_bytes = self.lost_bytes

    def _rotate(self) -> None:
        self.close()
        for number in range(self.max_files - 1, 0, -1):
            older = self.path if number == 1 else f"{self.path}.{number - 1}"
            try:
                os.rename(older, f"{self.path}.{number}")
            except FileNotFoundError:
                continue
        if self.max_files == 1:
            os.truncate(self.path, 0)
        self._ensure_open()


def open_fifo(path: str) -> int:
    """Open the reading end, not waiting for a writer: there is end of file until one comes."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


@contextmanager
def open_fifos(paths: Sequence[str]) -> Iterator[None]:
    """Hold the reading ends open meanwhile, all of them or none. Raises: OSError."""
    fds: list[int] = []
    try:
        for path in paths:
            fds.append(open_fifo(path))
        yield
    finally:
        for fd in fds:
            os.close(fd)


class LogStream:
    """One FIFO's reading end: cuts what comes in into stamped lines."""

    def __init__(self, fd: int, name: str, log: LogFile) -> None:
        self.fd = fd
        self.log = log
        self._tag = f" {name} ".encode()
        self._partial = b""

    def pump(self) -> bool:
        """Move one chunk to the log; return False at end of file or when there is no more."""
        return bool(self._move())

    def close(self) -> None:
        """Drain what is there now, write the last unended line, and close.

        Not until it is empty: another container that was handed the writing end may go on for ever.
        """
        left = int.from_bytes(fcntl.ioctl(self.fd, _FIONREAD, bytes(_INT_SIZE)), sys.byteorder)
        while left > 0 and (moved := self._move()):
            left -= moved
        if self._partial:
            self._emit([], self._partial)
        os.close(self.fd)

    def _move(self) -> int:
        """Move one chunk to the log; return its size, 0 at end of file or when there is no more."""
        try:
            data = os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            return 0
        if data:
            self._write(data)
        return len(data)

    def _write(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        part = b""
        if len(self._partial) > _LINE_MAX:
            part, self._partial = self._partial, b""
        if lines or part:
            self._emit(lines, part)

    def _emit(self, lines: list[bytes], part: bytes) -> None:
        head = _stamp(wall_ns()) + self._tag
        full = head + b"F "
        text = b"".join(full + line + b"\n" for line in lines)
        if part:
            text += head + b"P " + part + b"\n"
        self.log.write(text)


def _stamp(now_ns: int) -> bytes:
    """Return RFC 3339 with nanoseconds, in UTC."""
    seconds, nanoseconds = divmod(now_ns, 10**9)
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{nanoseconds:09d}Z", time.gmtime(seconds)).encode()
