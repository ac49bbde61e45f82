"""What control relies on of an engine, held by the real one and by the fake of its unit tests."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator

import pytest

from reconciler import Engine
from reconciler.control.ports import ContainerPort, EnginePort
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux.clock import wall_s
from reconciler.model.config import Config, PidsLimits, Resources
from reconciler.model.frozen import replace
from reconciler.model.state import Status
from tests.conftest import RunDirs
from tests.fakes.engine import FakeEngine

SLEEP = Config(command=("/bin/sleep", "1000"))
TERM = int(signal.SIGTERM)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.requires_root)])
def engine(request: pytest.FixtureRequest, run_dirs: RunDirs) -> Iterator[EnginePort]:
    run_dir, state_dir = str(run_dirs.run_dir), str(run_dirs.state_dir)
    if request.param == "fake":
        yield FakeEngine(run_dir, state_dir, wall_s)
        return
    real = Engine(run_dir=run_dir, state_dir=state_dir)
    yield real
    for name in real.store.ids():
        real.handle(name).destroy()
    real.monitor.retire()


def started(engine: EnginePort) -> ContainerPort:
    container = engine.create("web", SLEEP, {"a": "1"})
    container.start()
    return container


def settle(container: ContainerPort) -> Status:
    """Return the status once a freeze that is under way is done."""
    while (status := container.status()) is Status.PAUSING:
        os.sched_yield()
    return status


@contextlib.contextmanager
def refused(code: ErrorCode) -> Iterator[None]:
    """Expect a refusal with a code."""
    with pytest.raises(ReconcilerError) as caught:
        yield
    assert caught.value.code is code


def test_a_created_container_is_listed_with_its_notes_and_does_not_run(engine: EnginePort) -> None:
    engine.create("web", SLEEP, {"a": "1"})
    assert list(engine.store.ids()) == ["web"]
    container = engine.load("web")
    assert container.status() is Status.CREATED
    assert (container.record.config, container.record.annotations) == (SLEEP, {"a": "1"})
    assert (container.record.init, container.record.exit) == (None, None)


def test_an_id_is_taken_once(engine: EnginePort) -> None:
    engine.create("web", SLEEP)
    with refused(ErrorCode.IdInUse):
        engine.create("web", SLEEP)


def test_what_does_not_exist_cannot_be_loaded(engine: EnginePort) -> None:
    with refused(ErrorCode.ContainerNotExists):
        engine.load("web")


def test_a_handle_that_has_read_nothing_learns_all_with_the_status(engine: EnginePort) -> None:
    started(engine)
    handle = engine.handle("web")
    assert handle.status() is Status.RUNNING
    assert handle.record.config == SLEEP
    assert engine.handle("none").status() is Status.DESTROYED


def test_a_running_container_cannot_be_started_or_reconfigured(engine: EnginePort) -> None:
    container = started(engine)
    with refused(ErrorCode.ContainerNotStopped):
        container.start()
    with refused(ErrorCode.ContainerNotStopped):
        container.reconfigure(replace(SLEEP, workdir="/tmp"))


def test_a_running_container_can_be_given_the_environment_of_its_next_run(
    engine: EnginePort,
) -> None:
    container = started(engine)
    container.reconfigure(replace(SLEEP, env={"A": "b"}))
    assert container.status() is Status.RUNNING
    assert engine.load(container.id).record.config.env == {"A": "b"}


def test_a_paused_container_cannot_be_started_and_can_be_stopped(engine: EnginePort) -> None:
    container = started(engine)
    container.pause()
    assert settle(container) is Status.PAUSED
    with refused(ErrorCode.ContainerPaused):
        container.start()
    container.stop(TERM, 10**10)
    assert container.status() is Status.STOPPED


def test_a_resumed_container_runs(engine: EnginePort) -> None:
    container = started(engine)
    container.pause()
    container.resume()
    assert container.status() is Status.RUNNING


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_does_not_run_can_be_neither_paused_nor_resumed(engine: EnginePort, verb: str) -> None:
    container = engine.create("web", SLEEP)
    with refused(ErrorCode.ContainerNotRunning):
        getattr(container, verb)()


def test_a_stopped_container_has_an_exit_by_signal_and_runs_again(engine: EnginePort) -> None:
    container = started(engine)
    ended = container.stop(TERM, 10**10)
    assert ended is not None
    assert (ended.code, ended.is_success()) == (None, False)
    assert container.status() is Status.STOPPED
    assert container.record.exit == ended
    assert container.stop(TERM, 10**10) == ended
    other = Config(command=("/bin/sleep", "2000"))
    container.reconfigure(other)
    container.start()
    assert container.status() is Status.RUNNING
    assert engine.load("web").record.config == other
    assert engine.load("web").record.exit is None


def test_exits_are_told_to_whoever_has_asked_before(engine: EnginePort) -> None:
    container = started(engine)
    exits = engine.exits()
    assert list(exits.read() or ()) == []
    container.stop(TERM, 0)
    poll = select.poll()
    poll.register(exits.fileno(), select.POLLIN)
    assert poll.poll(30_000)
    told = exits.read()
    assert told is not None
    ((name, exit_status),) = told
    assert (name, exit_status.is_known()) == ("web", True)
    exits.close()


def test_limits_are_shown_while_it_runs_and_follow_set(engine: EnginePort) -> None:
    container = started(engine)
    assert container.limits()["resources.pids.max"] is None
    limited = Resources(pids=PidsLimits(max=20))
    container.set(limited)
    assert container.limits()["resources.pids.max"] == 20
    assert engine.load("web").record.config.resources == limited


def test_limits_set_before_the_start_are_there_after_it(engine: EnginePort) -> None:
    container = engine.create("web", SLEEP)
    container.set(Resources(pids=PidsLimits(max=20)))
    container.start()
    assert container.limits()["resources.pids.max"] == 20


def test_notes_are_merged_and_none_removes_one(engine: EnginePort) -> None:
    container = started(engine)
    container.annotate({"b": "2"})
    container.annotate({"a": None})
    assert container.record.annotations == engine.load("web").record.annotations == {"b": "2"}


def test_a_destroyed_container_is_gone_for_every_handle(engine: EnginePort) -> None:
    container, other = started(engine), engine.load("web")
    container.destroy()
    container.destroy()
    assert list(engine.store.ids()) == []
    assert other.status() is Status.DESTROYED
    with refused(ErrorCode.ContainerDestroyed):
        other.annotate({"a": "2"})
    with refused(ErrorCode.ContainerDestroyed):
        other.start()


def test_the_lock_is_for_one_at_a_time(engine: EnginePort) -> None:
    with engine.lock(0):
        with pytest.raises(ReconcilerError) as caught, engine.lock(0):
            raise AssertionError("two had the lock")
        assert caught.value.code is ErrorCode.LockTimeout
    with engine.lock(0):
        assert list(engine.store.ids()) == []
