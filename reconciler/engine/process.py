"""A started process for whoever has started it: its pid, and how it ends, for threads and asyncio.

Called by Container; asyncio is loaded for a coroutine alone.
"""

from __future__ import annotations

import os
import select
from _thread import allocate_lock

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import TYPE_CHECKING, Generator, Iterator, contextmanager
from reconciler.linux.clock import wall_s
from reconciler.model.state import ExitStatus, ProcessId

if TYPE_CHECKING:
    import asyncio

    from reconciler.engine.container import Container
    from reconciler.engine.session import Session

_ATTEMPTS = 5


class Process:
    """A started init or further process: its host pid, and a way to await how it ends.

    Any number of threads and coroutines may wait, and later ones are told as well.

    From a thread:

    >>> from reconciler import Command, Config, Engine
    >>> engine = Engine(run_dir=RUN_DIR, state_dir=STATE_DIR)
    >>> web = engine.create("web", Config(command=("sh", "-c", "sleep 0.2; exit 3")))
    >>> process = web.start()
    >>> process.wait().code
    3

    From a coroutine, without a thread, more than one at once:

    >>> import asyncio
    >>> async def run() -> list[int]:
    ...     init = web.start()
    ...     others = [web.start(Command(argv=("sh", "-c", f"exit {n}"))) for n in range(3)]
    ...     return [(await process).code for process in (*others, init)]
    >>> asyncio.run(run())
    [0, 1, 2, 3]
    >>> web.destroy()
    """

    def __init__(
        self,
        pid: int,
        container: Container,
        *,
        init: ProcessId | None = None,
        session: Session | None = None,
    ) -> None:
        """`init` is given of an init, `session` of a further process."""
        self.pid = pid
        self.container = container
        self._init = init
        self._session = session
        self._mutex = allocate_lock()
        self._waiters = 0
        self._exit: ExitStatus | None = None
        if session is not None:
            from weakref import finalize  # costs 1 ms

            finalize(self, session.close)  # in a cycle too, where __del__ might come too late

    def __repr__(self) -> str:
        return f"<Process {self.pid} of {self.container.id}>"

    def wait(self, timeout_s: float | None = None) -> ExitStatus | None:
        """Return the exit status when it comes, None when the time is over before.

        Of an init whose container runs again the status is that nobody knows.

        Raises: ContainerDestroyed (of an init), MonitorUnavailable, MonitorLost.
        """
        if self._session is not None:
            with self._waiting(self._session):
                if self._exit is None and _is_readable(self._session.fileno(), timeout_s):
                    self._collect(self._session)
        elif self._exit is None:
            self._exit = self._of_another_run() or self.container.wait(timeout_s)
        return self._exit

    async def wait_async(self) -> ExitStatus:
        """Return the exit status when it comes; no thread is used, and it can be cancelled.

        Raises: ContainerDestroyed, ContainerNotRunning, MonitorUnavailable, MonitorLost.
        """
        if self._session is not None:
            with self._waiting(self._session):
                if self._exit is None:
                    await until_readable(self._session.fileno())
                    self._collect(self._session)
        elif self._exit is None:
            self._exit = self._of_another_run() or await self._await_init()
        assert self._exit is not None
        return self._exit

    def __await__(self) -> Generator[object, None, ExitStatus]:
        return self.wait_async().__await__()

    @contextmanager
    def _waiting(self, session: Session) -> Iterator[None]:
        """Keep the session open for one that waits on it; the last one lets go of it."""
        with self._mutex:
            self._waiters += 1
        try:
            yield
        finally:
            with self._mutex:
                self._waiters -= 1
                if self._waiters == 0 and self._exit is not None:
                    session.close()

    def _collect(self, session: Session) -> None:
        """Take what a session that is readable has to tell: once, and for all."""
        with self._mutex:
            if self._exit is None:
                self._exit = session.wait()

    def _of_another_run(self) -> ExitStatus | None:
        """Return an unknown end where the container has another init by now."""
        if self.container.refresh().init == self._init:
            return None
        return ExitStatus(code=None, signal=None, oom=False, at=wall_s())

    async def _await_init(self) -> ExitStatus:
        for attempt in range(_ATTEMPTS):
            with self.container.pending_exit() as pending:
                await until_readable(pending.fileno())
                try:
                    exit_status = pending.wait()
                except ReconcilerError as error:
                    if error.code is not ErrorCode.MonitorLost or attempt == _ATTEMPTS - 1:
                        raise
                    continue
                if exit_status is not None:
                    return exit_status
        raise AssertionError("internal error: a readable exit was none")


def _is_readable(fd: int, timeout_s: float | None) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000))


async def until_readable(fd: int) -> None:
    """Let the running event loop do other things until a descriptor can be read.

    A loop knows one reader of a descriptor: each who waits has one of its own.
    """
    from asyncio import get_running_loop  # costs 40 ms

    loop = get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    own = os.dup(fd)
    try:
        loop.add_reader(own, _settle, ready)
        try:
            await ready
        finally:
            loop.remove_reader(own)
    finally:
        os.close(own)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
