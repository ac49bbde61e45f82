"""Copies between the user's standard streams and a process, while it runs.

Called by `exec`. What is read is written through before more is read of the same stream, so
that a slow side holds the other up and nothing piles up here; and neither holds up the rest.
"""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from typing import TYPE_CHECKING

from reconciler.cli.output import OutputClosed

if TYPE_CHECKING:
    from reconciler.engine.session import Session
    from reconciler.model.state import ExitStatus

_CHUNK = 2**16
_DRAIN_S = 0.1


class Copier:
    """What goes where: descriptors of ours on one side, of the process on the other.

    `source` is read for `sink`, which the copier closes at the end of the input unless it is
    an output as well (a terminal). `outputs` maps the process's descriptors to ours.
    """

    def __init__(self, source: int | None, sink: int, outputs: Mapping[int, int]) -> None:
        self._source = source
        self._sink = sink
        self._outputs = dict(outputs)
        self._is_terminal = sink in outputs
        self._pending = b""
        for fd in {sink, *outputs}:
            os.set_blocking(fd, False)

    def run(self, session: Session) -> ExitStatus | None:
        """Copy until the process ends and all it wrote is copied; return how it ended.

        Raises: OutputClosed when nobody reads our side any more; MonitorLost.
        """
        if self._source is None:
            self._end_input()
        while session.fileno() not in (ready := self._poll(session.fileno())):
            for fd in ready & self._outputs.keys():
                self._copy_out(fd)
            if (self._sink if self._pending else self._source) in ready:
                self._copy_in()
        exit_status = session.wait()
        self._drain()
        return exit_status

    def _drain(self) -> None:
        """Copy what the ended process has written.

        That of a terminal comes some moments later (the kernel passes it on in a work queue),
        and what it left running may hold the outputs open for ever.
        """
        while self._outputs:
            ready, _, _ = select.select(list(self._outputs), [], [], _DRAIN_S)
            if not ready:
                return
            for fd in ready:
                self._copy_out(fd)

    def _poll(self, session_fd: int) -> set[int]:
        """Return the descriptors with something to do, waiting for the first."""
        poll = select.poll()
        poll.register(session_fd, select.POLLIN)
        wanted = dict.fromkeys(self._outputs, select.POLLIN)
        if self._pending:
            wanted[self._sink] = wanted.get(self._sink, 0) | select.POLLOUT
        elif self._source is not None:
            wanted[self._source] = select.POLLIN
        for fd, events in wanted.items():
            poll.register(fd, events)
        return {fd for fd, _ in poll.poll()}

    def _copy_out(self, fd: int) -> None:
        """Copy what there is of an output, and forget it at its end."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: the last one who had the terminal open has closed it
            data = b""
        if data:
            _write_all(self._outputs[fd], data)
        else:
            del self._outputs[fd]

    def _copy_in(self) -> None:
        """Pass on what is pending, or else read the next and pass it on."""
        if not self._pending and self._source is not None:
            self._pending = os.read(self._source, _CHUNK)
            if not self._pending:
                self._end_input()
                return
        try:
            self._pending = self._pending[os.write(self._sink, self._pending) :]
        except BlockingIOError:
            return
        except OSError:  # it has closed its standard input, or its terminal is gone
            self._pending = b""
            self._end_input()

    def _end_input(self) -> None:
        self._source = None
        if not self._is_terminal and self._sink >= 0:
            os.close(self._sink)
            self._sink = -1


def _write_all(fd: int, data: bytes) -> None:
    try:
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:  # whoever shares our output has made it so
                select.select([], [fd], [])
    except BrokenPipeError as error:
        raise OutputClosed from error
    except OSError as error:
        from reconciler.errors import from_os_error

        raise from_os_error(error, "cannot write to standard output") from error
