"""The user's terminal while it stands for one in a container, and signals passed on.

Called by `exec`. Whatever happens, the terminal is afterwards as it was before.
"""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import tty
from collections.abc import Callable, Iterator
from types import FrameType

_FORWARDED = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2")

Handler = Callable[[int, FrameType | None], None]


def size_of(*fds: int) -> tuple[int, int]:
    """Return (rows, columns) of the first of the descriptors that is a terminal, else 24, 80."""
    for fd in fds:
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(fd)
            if size.lines and size.columns:
                return size.lines, size.columns
    return 24, 80


@contextlib.contextmanager
def raw_mode(fd: int) -> Iterator[None]:
    """Have every key passed on as it is (termios(3)), until the block is left."""
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSANOW)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextlib.contextmanager
def resized_with(master: int, *fds: int) -> Iterator[None]:
    """Give a terminal, by its master, the size of ours now and whenever that changes."""

    def resize(*_: object) -> None:
        with contextlib.suppress(OSError):  # its process has ended meanwhile
            termios.tcsetwinsize(master, size_of(*fds))

    with _handling({signal.SIGWINCH: resize}):
        resize()
        yield


@contextlib.contextmanager
def signals_passed_to(pid: int) -> Iterator[None]:
    """Pass on to a process what would end us, until the block is left."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:  # it has ended: what comes now is for nobody
        yield
        return

    def pass_on(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)

    try:
        with _handling({signal.Signals[f"SIG{name}"]: pass_on for name in _FORWARDED}):
            yield
    finally:
        os.close(pidfd)


@contextlib.contextmanager
def _handling(handlers: dict[signal.Signals, Handler]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
