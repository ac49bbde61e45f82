"""Many threads, many coroutines and another process, all at one container."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler import Command, Engine, Status
from reconciler.engine.events import OomEvents
from reconciler.errors import ErrorCode
from tests.contract.cgroup_cell import eventually
from tests.contract.elsewhere import ELSEWHERE
from tests.contract.test_container_interface import code_of, engine, started
from tests.contract.test_destroyed_elsewhere import calls_on

__all__ = ["engine"]  # a fixture

pytestmark = pytest.mark.requires_root

_RIGHT = {
    *(None, ErrorCode.ContainerDestroyed, ErrorCode.ContainerNotRunning),
    *(ErrorCode.ContainerNotStopped, ErrorCode.ContainerPaused),
}


@pytest.mark.parametrize("seed", range(3))
def test_every_method_in_many_threads_while_another_process_destroys(
    engine: Engine, seed: int
) -> None:
    container = started(engine)
    fds = len(os.listdir("/proc/self/fd"))
    calls = calls_on(container) | {
        "wait": lambda: container.wait(0.01),
        "start further": lambda: container.start(Command(argv=("true",))),
        "processes of another handle": lambda: engine.load("web").processes(),
    }
    right = _RIGHT | {ErrorCode.ContainerNotExists}  # which `load` tells

    def repeat(number: int) -> set[tuple[str, ErrorCode | None]]:
        order = random.Random(f"{seed} {number}")
        told = set()
        while container.status() is not Status.DESTROYED:
            name = order.choice(list(calls))
            told.add((name, code_of(calls[name])))
        return told

    with ThreadPoolExecutor(6) as threads:
        runs = [threads.submit(repeat, number) for number in range(6)]
        assert eventually(lambda: container.record.last_exit is not None)  # it is in full swing
        ELSEWHERE.destroy(engine, "web")
        told = set().union(*(run.result() for run in runs))
    assert {one for one in told if one[1] not in right} == set()
    assert {code_of(call) for name, call in calls.items() if "handle" not in name} == {
        ErrorCode.ContainerDestroyed
    }
    assert os.listdir(engine.store.containers_dir) == []
    assert not container.has_cgroup()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == fds
    assert eventually(lambda: engine.monitor.ping()["containers"] == 0)


def test_event_registrations_are_removed_before_anything_is_destroyed(engine: Engine) -> None:
    container = started(engine)
    with container.oom() as events, ThreadPoolExecutor(1) as threads:
        with engine.store.lock("web"):  # so that nothing can be destroyed yet
            destroying = threads.submit(container.destroy)
            assert list(events) == []
            assert container.status() is Status.RUNNING
            assert not destroying.done()
        destroying.result()
    assert container.status() is Status.DESTROYED


async def _count(events: OomEvents) -> int:
    return len([event async for event in events])


def test_coroutines_that_iterate_stop_when_the_channel_is_closed(engine: Engine) -> None:
    container = started(engine)
    fds = len(os.listdir("/proc/self/fd"))

    async def close_meanwhile() -> list[int]:
        events = container.oom()
        counts = [asyncio.ensure_future(_count(events)) for _ in range(3)]
        await asyncio.sleep(0)
        counts[0].cancel()
        events.close()
        return await asyncio.gather(*counts[1:])

    assert asyncio.run(close_meanwhile()) == [0, 0]
    assert len(os.listdir("/proc/self/fd")) == fds


def test_one_loop_awaits_inits_further_processes_and_events_at_once(engine: Engine) -> None:
    container = started(engine)
    further = [container.start(Command(argv=("sleep", "1000"))) for _ in range(8)]

    async def all_ends() -> list[int | None]:
        with container.oom() as events:
            counting = asyncio.ensure_future(_count(events))
            waits = [asyncio.ensure_future(one.wait_async()) for one in further]
            await asyncio.sleep(0)
            ELSEWHERE.destroy(engine, "web")
            ends = await asyncio.gather(*waits)
            assert await counting == 0
            return [end.signal for end in ends]

    assert asyncio.run(all_ends()) == [signal.SIGKILL] * len(further)
