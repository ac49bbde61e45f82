"""`start(command)`: more than one process in a container, each with a pid and an awaitable end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler import Command, Engine, Process, ReconcilerError, Status
from reconciler.errors import ErrorCode
from reconciler.linux.proc import read_stat
from tests.contract.cgroup_cell import eventually
from tests.contract.test_container_interface import (
    SLEEP,
    code_of,
    destroy_elsewhere,
    engine,
    shell,
    started,
)

__all__ = ["engine"]  # a fixture

pytestmark = pytest.mark.requires_root

FOR_LONG = Command(argv=("sleep", "1000"))


def exits_with(code: int) -> Command:
    return Command(argv=("sh", "-c", f"exit {code}"))


def is_alive(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat.is_alive()


def test_each_has_a_pid_in_the_container_and_an_end_of_its_own(engine: Engine) -> None:
    container = started(engine)
    fds = len(os.listdir("/proc/self/fd"))
    first, second = (container.start(FOR_LONG) for _ in range(2))
    init = container.record.init
    assert init is not None
    assert {init.pid, first.pid, second.pid} == set(container.processes())
    os.kill(first.pid, signal.SIGKILL)
    ended = first.wait(60)
    assert ended is not None
    assert ended.signal == signal.SIGKILL
    assert second.wait(0) is None
    assert len(os.listdir("/proc/self/fd")) == fds + 1  # that of the second alone
    assert set(container.processes()) == {init.pid, second.pid}
    assert container.status() is Status.RUNNING


def test_the_end_is_told_to_all_who_wait_and_to_those_who_ask_later(engine: Engine) -> None:
    container = started(engine)
    process = container.start(Command(argv=("sh", "-c", "sleep 0.2; exit 7")))

    async def await_twice() -> list[int | None]:
        return [one.code for one in await asyncio.gather(process, process.wait_async())]

    with ThreadPoolExecutor(3) as threads:
        waits = [threads.submit(process.wait) for _ in range(3)]
        assert asyncio.run(await_twice()) == [7, 7]
        ends = [wait.result() for wait in waits]
    assert [end.code for end in ends if end is not None] == [7] * 3
    assert process.wait(0) is ends[0]


def test_it_outlives_whoever_has_started_it_and_leaves_no_zombie(engine: Engine) -> None:
    container = started(engine)
    pid = container.start(FOR_LONG).pid
    gc.collect()
    assert pid in container.processes()
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: read_stat(pid) is None)
    assert container.start(exits_with(3)).wait(60) is not None


def test_it_ends_with_the_container_and_its_end_is_told_after_that(engine: Engine) -> None:
    container = started(engine)
    process = container.start(FOR_LONG)
    destroy_elsewhere(engine)
    ended = process.wait(60)
    assert ended is not None
    assert ended.signal == signal.SIGKILL
    assert code_of(lambda: container.start(FOR_LONG)) is ErrorCode.ContainerDestroyed


def test_its_streams_are_empty_and_discarded_unless_given(engine: Engine) -> None:
    container = started(engine)
    ended = container.start(Command(argv=("sh", "-c", "read x || echo nothing >&2"))).wait(60)
    assert ended is not None
    assert ended.code == 0
    read, write = os.pipe()
    with open(os.devnull, "rb") as null, open(read) as output:
        echo = Command(argv=("sh", "-c", "echo $0 $A", "said"), env={"A": "b"})
        container.start(echo, [null.fileno(), write, write])
        os.close(write)
        assert output.read() == "said b\n"


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (lambda c: c.pause(), ErrorCode.ContainerPaused),
        (lambda c: c.stop(signal.SIGKILL, 0), ErrorCode.ContainerNotRunning),
        (lambda c: c.destroy(), ErrorCode.ContainerDestroyed),
    ],
    ids=["paused", "stopped", "destroyed"],
)
def test_it_needs_a_container_that_runs(
    engine: Engine, prepare: Callable[[object], None], code: ErrorCode
) -> None:
    container = started(engine)
    prepare(container)
    assert code_of(lambda: container.start(FOR_LONG)) is code


@pytest.mark.parametrize(
    ("command", "streams", "code"),
    [
        (Command(argv=()), [], ErrorCode.ConfigInvalid),
        (Command(argv=("true", "a\0b")), [], ErrorCode.ConfigInvalid),
        (Command(argv=("true",), env={"A=": ""}), [], ErrorCode.ConfigInvalid),
        (Command(argv=("true",), workdir="/nonsense"), [], ErrorCode.ConfigInvalid),
        (Command(argv=("true",)), [0], ErrorCode.ConfigInvalid),
        (Command(argv=("true",), terminal=(24, 80)), [], ErrorCode.ConfigInvalid),
        (Command(argv=("true",)), [0, 1, 9999], ErrorCode.SystemError),
        (Command(argv=("true", "x" * 2**17)), [], ErrorCode.ProcessNotExecuted),  # E2BIG
        (Command(argv=("nonsense",)), [], ErrorCode.CommandNotFound),
        (Command(argv=("/etc/passwd",)), [], ErrorCode.CommandNotExecutable),
        (Command(argv=("true",), user="nonsense"), [], ErrorCode.UserNotFound),
    ],
)
def test_one_that_cannot_run_has_a_code_and_leaves_nothing(
    engine: Engine, command: Command, streams: list[int], code: ErrorCode
) -> None:
    container = started(engine)
    monitor = engine.monitor.ping()["pid"]
    fds = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ReconcilerError) as caught:
        container.start(command, streams)
    assert caught.value.code is code
    assert (caught.value.container, str(caught.value)[:7]) == ("web", "cannot ")
    assert len(os.listdir("/proc/self/fd")) == fds
    assert len(container.processes()) == 1
    assert engine.monitor.ping()["pid"] == monitor


def test_many_start_and_end_at_once(engine: Engine) -> None:
    container = started(engine)

    def run(number: int) -> int | None:
        process = container.start(exits_with(number))
        ended = process.wait(60)
        return None if ended is None else ended.code

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(run, range(24))) == list(range(24))
    assert len(container.processes()) == 1


def test_the_end_of_a_run_is_never_told_of_another(engine: Engine) -> None:
    container = engine.create("web", shell("exit 3"))
    first = container.start()
    assert eventually(lambda: container.status() is Status.STOPPED)
    container.reconfigure(SLEEP)
    second = container.start()
    ended = first.wait(60)
    assert ended is not None
    assert not ended.is_known()
    assert second.wait(0) is None
    assert asyncio.run(first.wait_async()) == ended


def test_a_wait_that_is_cancelled_takes_nothing_from_others(engine: Engine) -> None:
    container = engine.create("web", SLEEP)
    init = container.start()
    further = container.start(FOR_LONG)
    fds = len(os.listdir("/proc/self/fd"))

    async def cancel_one_of_two(process: Process) -> str:
        waits = [asyncio.ensure_future(process.wait_async()) for _ in range(2)]
        await asyncio.sleep(0)
        waits[0].cancel()
        os.kill(process.pid, signal.SIGKILL)
        ended = await waits[1]
        assert waits[0].cancelled()
        return ended.describe()

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(further.wait_async(), 0.01))
    for process in (further, init):
        assert asyncio.run(cancel_one_of_two(process)) == "killed by signal 9"
    assert len(os.listdir("/proc/self/fd")) == fds - 1  # that of the further one
