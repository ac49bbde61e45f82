"""A started init for whoever has started it: its pid, and how it ends, for threads and asyncio.

Called by Container; asyncio is loaded for a coroutine alone.
"""

from __future__ import annotations

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import asyncio

    from reconciler.engine.container import Container
    from reconciler.model.state import ExitStatus

_ATTEMPTS = 5


class Process(NamedTuple):
    """A started init: its host pid, and a way to await how it ends.

    From a thread:

    >>> from reconciler import Config, Engine
    >>> engine = Engine(run_dir=RUN_DIR, state_dir=STATE_DIR)
    >>> web = engine.create("web", Config(command=("sh", "-c", "exit 3")))
    >>> process = web.start()
    >>> process.wait().code
    3

    From a coroutine, without a thread:

    >>> import asyncio
    >>> async def run() -> int:
    ...     return (await web.start().wait_async()).code
    >>> asyncio.run(run())
    3
    >>> web.destroy()
    """

    pid: int
    container: Container

    def wait(self, timeout_s: float | None = None) -> ExitStatus | None:
        """Return the exit status when it comes, None when the time is over before.

        Raises: ContainerDestroyed, MonitorUnavailable, MonitorLost.
        """
        return self.container.wait(timeout_s)

    async def wait_async(self) -> ExitStatus:
        """Return the exit status when it comes; no thread is used, and it can be cancelled.

        Raises: ContainerDestroyed, ContainerNotRunning, MonitorUnavailable, MonitorLost.
        """
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


async def until_readable(fd: int) -> None:
    """Let the running event loop do other things until a descriptor can be read."""
    from asyncio import get_running_loop  # costs 40 ms

    loop = get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
