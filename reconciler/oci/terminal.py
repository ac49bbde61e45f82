"""Joins a container's terminal, by its master, to our standard streams.

Called by `foreground`. Neither side holds up the other: what cannot be written yet waits, and
nothing more is read for it meanwhile. Our terminal, if any, is raw meanwhile and as it was after.
"""

from __future__ import annotations

import os
import select
import termios

from reconciler.lean import Any, suppress

_CHUNK = 65536
_DRAIN_MS = 100


class Terminal:
    """A context: entered, our terminal is raw; left, as before."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._to_master = b""
        self._has_input = self._has_output = True
        self._before: list[Any] | None = None
        os.set_blocking(master, False)

    def __enter__(self) -> Terminal:
        self.resize()
        if os.isatty(0):
            self._before = termios.tcgetattr(0)
            import tty  # loads enum, for the few that have a terminal

            tty.setraw(0, termios.TCSANOW)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self._before)

    def resize(self) -> None:
        """Give it the size of ours, if ours has one."""
        with suppress(OSError, termios.error):
            size = os.get_terminal_size(0)
            if size.lines and size.columns:
                termios.tcsetwinsize(self._master, (size.lines, size.columns))

    def wanted(self) -> dict[int, int]:
        """Return the descriptors to poll and what for."""
        events: dict[int, int] = {}
        if self._has_output:
            events[self._master] = select.POLLIN | (select.POLLOUT if self._to_master else 0)
        if self._has_input and not self._to_master:
            events[0] = select.POLLIN
        return events

    def copy(self, ready: dict[int, int]) -> None:
        """Copy what can be copied now."""
        if ready.get(self._master, 0) & (select.POLLIN | select.POLLHUP):
            self._copy_out()
        if 0 in ready and self._has_input:
            self._to_master = os.read(0, _CHUNK)
            self._has_input = bool(self._to_master)
        if self._to_master:
            with suppress(BlockingIOError, OSError):
                self._to_master = self._to_master[os.write(self._master, self._to_master) :]

    def drain(self) -> None:
        """Copy what the ended process has written, which comes some moments later."""
        poller = select.poll()
        poller.register(self._master, select.POLLIN)
        while self._has_output and poller.poll(_DRAIN_MS):
            self._copy_out()

    def _copy_out(self) -> None:
        try:
            data = os.read(self._master, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        self._has_output = bool(data)
        while data:
            data = data[os.write(1, data) :]
