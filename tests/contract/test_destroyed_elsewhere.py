"""A container that another process destroys, before and in the middle of each call."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler import Command, Container, Engine, Resources, Status
from reconciler.errors import ErrorCode
from tests.contract.test_container_interface import (
    SLEEP,
    code_of,
    destroy_elsewhere,
    engine,
    started,
)

__all__ = ["engine"]  # a fixture

pytestmark = pytest.mark.requires_root


def calls_on(container: Container) -> dict[str, Callable[[], object]]:
    """Return every method that needs the container to exist."""
    return {
        "refresh": container.refresh,
        "processes": container.processes,
        "stats": container.stats,
        "limits": container.limits,
        "start": container.start,
        "execute": lambda: container.execute(Command(argv=("true",)), [0, 1, 2]).close(),
        "wait": lambda: container.wait(10),
        "wait 0": lambda: container.wait(0),
        "pending_exit": lambda: container.pending_exit().close(),
        "signal": lambda: container.signal(0),
        "pause": container.pause,
        "resume": container.resume,
        "set": lambda: container.set(Resources()),
        "stop": lambda: container.stop(signal.SIGTERM, 0),
        "reconfigure": lambda: container.reconfigure(SLEEP),
        "annotate": lambda: container.annotate({"a": "b"}),
        "oom": lambda: container.oom().close(),
    }


def test_what_another_process_has_destroyed_says_so_from_every_call(engine: Engine) -> None:
    container = started(engine)
    destroy_elsewhere(engine)
    codes = {name: code_of(call) for name, call in calls_on(container).items()}
    assert codes == dict.fromkeys(codes, ErrorCode.ContainerDestroyed)
    assert container.status() is Status.DESTROYED
    container.destroy()
    assert (container.id, container.config) == ("web", SLEEP)


def test_calls_during_a_destroy_by_another_process_have_no_wrong_code(engine: Engine) -> None:
    container = started(engine)
    right = {
        *(None, ErrorCode.ContainerDestroyed, ErrorCode.ContainerNotRunning),
        ErrorCode.ContainerNotStopped,
    }
    left_out = ("start", "execute", "wait", "stop", "reconfigure")
    calls = {name: call for name, call in calls_on(container).items() if name not in left_out}

    def repeat(name: str) -> set[ErrorCode | None]:
        codes = set()
        while container.status() is not Status.DESTROYED:
            codes.add(code_of(calls[name]))
            if ErrorCode.ContainerPaused in codes:
                break
        return codes

    with ThreadPoolExecutor(len(calls)) as threads:
        runs = {name: threads.submit(repeat, name) for name in calls if name != "pause"}
        destroy_elsewhere(engine)
        wrong = {name: run.result() - right for name, run in runs.items()}
    assert not any(wrong.values()), wrong


@pytest.mark.parametrize("name", ["start", "execute", "wait", "pause", "stop", "reconfigure"])
def test_a_call_that_meets_a_destroy_by_another_process_ends_with_its_code(
    engine: Engine, name: str
) -> None:
    """What it met is the container before, while it ends, or after: nothing else is told."""
    container = started(engine)
    right = {
        *(None, ErrorCode.ContainerDestroyed, ErrorCode.ContainerNotRunning),
        *(ErrorCode.ContainerNotStopped, ErrorCode.ContainerPaused),
    }
    calls = calls_on(container) | {"wait": lambda: container.wait(0.01)}

    def repeat() -> list[ErrorCode | None]:
        codes: list[ErrorCode | None] = []
        while not codes or codes[-1] is not ErrorCode.ContainerDestroyed:
            codes.append(code_of(calls[name]))
        return codes

    with ThreadPoolExecutor(1) as threads:
        told = threads.submit(repeat)
        destroy_elsewhere(engine)
        assert set(told.result()) <= right
    assert code_of(calls[name]) is ErrorCode.ContainerDestroyed


def test_a_wait_under_way_gets_the_exit_when_another_process_destroys(engine: Engine) -> None:
    process = engine.create("web", SLEEP).start()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(process.wait)
        destroy_elsewhere(engine)
        ended = waiting.result()
    assert ended is not None
    assert ended.signal == signal.SIGKILL
