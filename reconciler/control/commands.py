"""Runs a command in a container for the reconciler itself, for a bounded time.

Called for reactions, before stops, and by probes. It reads the end of what the command writes, so
that a failure can be told; it may not interpret it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from typing import NamedTuple

from reconciler.control.ports import ContainerPort, SessionPort
from reconciler.model.config import Command
from reconciler.model.state import ExitStatus

_TAIL_BYTES = 500
_CHUNK_BYTES = 2**16


class Result(NamedTuple):
    """How a command ended, None when it took too long and was killed; the end of its output."""

    exit: ExitStatus | None
    output: str

    def is_success(self) -> bool:
        """Tell whether it ended with 0 in time."""
        return self.exit is not None and self.exit.is_success()

    def describe(self) -> str:
        """Return `exit code 3: cannot open x`, as far as it is known."""
        how = "it took too long" if self.exit is None else self.exit.describe()
        return f"{how}: {self.output}" if self.output else how


def run_command(container: ContainerPort, argv: Sequence[str], timeout_s: float) -> Result:
    """Run a command in a container as its user; kill it when the time is over.

    Its standard input is empty, its output and errors are read together.

    Raises: ContainerDestroyed, ContainerNotRunning, ContainerPaused, CommandNotFound,
    CommandNotExecutable, UserNotFound, StepFailed, MonitorUnavailable, MonitorLost.
    """
    deadline = time.monotonic() + timeout_s
    input_fd, input_end = os.pipe()
    os.close(input_end)
    output_fd, output_end = os.pipe()
    try:
        try:
            command = Command(argv=tuple(argv))
            session = container.execute(command, [input_fd, output_end, output_end])
        finally:
            os.close(input_fd)
            os.close(output_end)
        output = _Tail(output_fd)
        try:
            output.read_until(session.fileno(), deadline)
            exit_status = session.wait(max(0.001, deadline - time.monotonic()))
            if exit_status is None:
                _kill_started_by(session, container)
        finally:
            session.close()
        output.read_rest()
        return Result(exit_status, output.text())
    finally:
        os.close(output_fd)


def _kill_started_by(session: SessionPort, container: ContainerPort) -> None:
    """Kill what the command has started: it leads a session (setsid(2)) in the cgroup."""
    for pid in container.processes():
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            try:
                if os.getsid(pid) == session.pid:
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
            finally:
                os.close(fd)


class _Tail:
    """The end of what comes over a pipe, which others may hold open for ever."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._data = b""
        os.set_blocking(fd, False)

    def read_until(self, session_fd: int, deadline: float) -> None:
        """Read until the session has something to tell, or the time is over."""
        import select

        poll = select.poll()
        poll.register(session_fd, select.POLLIN)
        poll.register(self._fd, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            ready = {fd for fd, _ in poll.poll(left * 1000 + 1)}
            if session_fd in ready:
                return
            if self._fd in ready and not self._read():
                poll.unregister(self._fd)

    def read_rest(self) -> None:
        """Read what is there, up to what a pipe holds."""
        self._read()

    def text(self) -> str:
        """Return the last lines in one, without what cannot be printed."""
        lines = self._data.decode(errors="replace").splitlines()
        shown = "; ".join(line.strip() for line in lines if line.strip())
        return "".join(char if char.isprintable() else "?" for char in shown)

    def _read(self) -> bool:
        """Keep the end of what there is; tell whether there may be more."""
        try:
            data = os.read(self._fd, _CHUNK_BYTES)
        except BlockingIOError:
            return True
        self._data = (self._data + data)[-_TAIL_BYTES:]
        return bool(data)
