"""One descriptor each for what other threads and signals have to say to the main thread.

Called by `reconciler.daemon.watch`. Both are level-triggered: what comes while the main thread
is busy is found when it polls the next time.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class WakeUp:
    """An eventfd(2) that any thread may set."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """Return the descriptor that is readable while it is set."""
        return self._fd

    def set(self) -> None:
        """Make it readable; safe in any thread."""
        os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Take note of it; the next `set` is a new one."""
        os.eventfd_read(self._fd)

    def close(self) -> None:
        """Close the descriptor; nobody may set it any more."""
        os.close(self._fd)


class SignalPipe:
    """Makes SIGTERM, SIGINT and SIGHUP readable, each as one byte (signal.set_wakeup_fd)."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._old_fd = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, self._take) for number in SIGNALS}
        self._is_told_to_end = False

    def is_told_to_end(self) -> bool:
        """Tell whether SIGTERM or SIGINT has come, read or not."""
        return self._is_told_to_end

    def fileno(self) -> int:
        """Return the descriptor that is readable while a signal waits."""
        return self._reader

    def read(self) -> list[int]:
        """Return the numbers of the signals that came."""
        return [number for number in os.read(self._reader, 64) if number in SIGNALS]

    def close(self) -> None:
        """Give the signals back to whom they belonged before."""
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        os.close(self._reader)
        os.close(self._writer)

    def _take(self, number: int, frame: FrameType | None) -> None:
        """Note the end (the handler's signature is signal(3)'s); the pipe wakes the loop."""
        self._is_told_to_end |= number != signal.SIGHUP
