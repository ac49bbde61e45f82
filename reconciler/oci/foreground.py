"""A process in the foreground: signals are passed to it, and its end is awaited as our child's.

Called by `run` and `exec`. With a terminal of the container's `terminal` joins it to ours.
"""

from __future__ import annotations

import os
import select

from reconciler.engine.direct import wait_status_of
from reconciler.lean import (
    TYPE_CHECKING,
    ExitStack,
    Iterator,
    contextmanager,
    signal,
    socket,
    suppress,
)

if TYPE_CHECKING:
    from types import FrameType

    from reconciler.oci.terminal import Terminal

# What is ours alone, cannot be caught, or says that something is wrong with ourselves.
_KEPT = frozenset(
    {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGURG, signal.SIGSEGV}
    | {signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGPIPE}
    | {signal.SIGXFSZ, signal.SIGTRAP, signal.SIGSYS}
)


class Foreground:
    """From its making no signal is lost: those that come before the process wait for it."""

    def __init__(self) -> None:
        self._pending: list[int] = []
        self._ours: socket.socket | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Foreground:
        self._wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._stack.callback(os.close, self._wake_read)
        self._stack.callback(os.close, wake_write)
        self._stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(wake_write))
        for number in signal.valid_signals() - _KEPT:
            former = signal.getsignal(number)
            if former not in (signal.SIG_IGN, None):
                signal.signal(number, self._on_signal)
                self._stack.callback(signal.signal, number, former)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def make_terminal(self) -> int:
        """Return the socket over which the master of a terminal is to come."""
        self._ours, theirs = socket.socketpair()
        self._stack.enter_context(self._ours)
        return self._stack.enter_context(theirs).fileno()

    def attend(self, pid: int) -> int:
        """Pass on signals, and with a terminal bytes, until the process ends; return its code.

        128 + N for one that signal N ended.
        """
        pidfd = self._stack.enter_context(_closing(os.pidfd_open(pid)))
        terminal = None
        if self._ours is not None:
            from reconciler.oci.terminal import Terminal

            _, (master, *_), _, _ = socket.recv_fds(self._ours, 4096, 1)
            terminal = self._stack.enter_context(
                Terminal(self._stack.enter_context(_closing(master)))
            )
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        while True:
            self._pass_on(pidfd, terminal)
            events = {} if terminal is None else terminal.wanted()
            for fd, mask in events.items():
                poller.register(fd, mask)
            ready = dict(poller.poll())
            for fd in events:
                poller.unregister(fd)
            if terminal is not None:
                terminal.copy(ready)
            if pidfd in ready:
                break
        if terminal is not None:
            terminal.drain()
        return code_of(wait_status_of(pid))

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._pending.append(number)

    def _pass_on(self, pidfd: int, terminal: Terminal | None) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        pending, self._pending = self._pending, []
        for number in pending:
            if number == signal.SIGWINCH and terminal is not None:
                terminal.resize()
                continue
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)


def code_of(wait_status: int) -> int:
    """Return the exit code for a wait status: the process's own, or 128 + its signal."""
    code = os.waitstatus_to_exitcode(wait_status)
    return 128 - code if code < 0 else code


@contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)
