"""libcontainer's Container interface, sentence by sentence, on each cgroup driver of this host."""

from __future__ import annotations

import asyncio
import doctest
import gc
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import reconciler.engine.engine
import reconciler.engine.events
import reconciler.engine.process
from reconciler import Command, Config, Container, Engine, MemoryLimits, Resources, Status
from reconciler.cgroup.driver import CgroupDriver
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux.proc import read_stat
from reconciler.model.config import PidsLimits
from tests.conftest import RunDirs
from tests.contract.cgroup_cell import eventually
from tests.contract.elsewhere import ELSEWHERE

pytestmark = pytest.mark.requires_root

SLEEP = Config(command=("/bin/sleep", "1000"))
SMALL = Resources(memory=MemoryLimits(max_bytes=16 * 2**20))
HOG = Config(command=("/usr/bin/tail", "/dev/zero"), resources=SMALL)


@pytest.fixture
def engine(run_dirs: RunDirs, driver: CgroupDriver) -> Iterator[Engine]:
    made = Engine(run_dir=str(run_dirs.run_dir), state_dir=str(run_dirs.state_dir))
    made.driver = driver
    ELSEWHERE.start()
    yield made
    for name in made.ids():
        made.handle(name).destroy()
    made.retire()
    gc.collect()  # what one test has open is not to be closed during another


def started(engine: Engine, config: Config = SLEEP) -> Container:
    container = engine.create("web", config)
    container.start()
    return container


def shell(script: str) -> Config:
    return Config(command=("/bin/sh", "-c", script))


def destroy_elsewhere(engine: Engine) -> None:
    ELSEWHERE.destroy(engine, "web")


def code_of(call: Callable[[], object]) -> ErrorCode | None:
    try:
        call()
    except ReconcilerError as error:
        return error.code
    return None


def test_threads_on_one_and_on_many_containers_leave_nothing_behind(engine: Engine) -> None:
    engine.prepare()
    engine.monitor.ping()
    fds = len(os.listdir("/proc/self/fd"))
    allowed = {
        *(None, ErrorCode.ContainerDestroyed, ErrorCode.ContainerNotRunning),
        *(ErrorCode.ContainerPaused, ErrorCode.ContainerNotStopped, ErrorCode.IdInUse),
        ErrorCode.ContainerNotExists,
    }

    def live(number: int) -> set[ErrorCode | None]:
        codes = set()
        for name in ("shared", f"own-{number}"):
            codes.add(code_of(lambda name=name: engine.create(name, SLEEP)))  # type: ignore[misc]
            container = engine.handle(name)
            limited = Resources(pids=PidsLimits(max=50 + number))
            codes |= {
                code_of(call)
                for call in (
                    *(container.start, container.pause, container.stats, container.processes),
                    *(container.resume, lambda c=container, r=limited: c.set(r)),
                    *(lambda c=container: c.signal(signal.SIGTERM), container.destroy),
                )
            }
        return codes

    with ThreadPoolExecutor(6) as threads:
        codes = set[ErrorCode | None]().union(*threads.map(live, range(12)))
    assert codes <= allowed
    assert engine.ids() == []
    monitor = engine.monitor.ping()
    assert monitor["containers"] == 0
    children = Path(f"/proc/{monitor['pid']}/task/{monitor['pid']}/children").read_text()
    assert children == ""
    assert len(os.listdir("/proc/self/fd")) == fds


def test_all_processes_are_listed_of_a_paused_container(engine: Engine) -> None:
    container = started(engine, shell("sleep 1000 & setsid sleep 1000 & wait"))
    assert eventually(lambda: len(container.processes()) == 3)
    running = sorted(container.processes())
    container.pause()
    assert eventually(lambda: container.status() is Status.PAUSED)
    assert sorted(container.processes()) == running


def test_pausing_is_passed_through_and_ends_by_itself(engine: Engine) -> None:
    busy = "i=0; while [ $i -lt 60 ]; do (while :; do :; done) & i=$((i+1)); done; wait"
    container = started(engine, shell(busy))
    assert eventually(lambda: len(container.processes()) == 61)
    seen = set()

    def cycle() -> bool:
        container.pause()
        seen.add(container.status())
        assert eventually(lambda: container.status() is Status.PAUSED)
        container.pause()
        assert container.status() is Status.PAUSED
        container.resume()
        container.resume()
        assert eventually(lambda: container.status() is Status.RUNNING)
        return Status.PAUSING in seen

    assert eventually(cycle)
    assert seen <= {Status.PAUSING, Status.PAUSED}


def test_further_processes_run_beside_the_init_but_not_in_a_paused_one(engine: Engine) -> None:
    container = started(engine)
    command = Command(argv=("sh", "-c", "exit 7"))
    with open(os.devnull, "r+b") as null, ThreadPoolExecutor(4) as threads:
        streams = [null.fileno()] * 3

        def run(_: int) -> int | None:
            with container.execute(command, streams) as session:
                ended = session.wait()
                return ended.code if ended is not None else None

        assert list(threads.map(run, range(4))) == [7] * 4
        container.pause()
        assert code_of(lambda: container.execute(command, streams)) is ErrorCode.ContainerPaused
    assert code_of(container.start) is ErrorCode.ContainerPaused


@pytest.mark.parametrize("is_paused", [False, True])
def test_destroy_kills_those_that_have_left_the_session(engine: Engine, is_paused: bool) -> None:
    container = started(engine, shell("(setsid sh -c 'sleep 1000 & sleep 1000' &) ; sleep 1000"))
    assert eventually(lambda: len(container.processes()) >= 4)
    pids = container.processes()
    if is_paused:
        container.pause()
    container.destroy()
    container.destroy()
    assert all((stat := read_stat(pid)) is None or not stat.is_alive() for pid in pids)
    assert not container.has_cgroup()


def test_destroy_ends_a_container_that_was_made_by_half(engine: Engine) -> None:
    container = engine.create("web", SLEEP)
    paths = container.record.cgroups
    engine.driver.create(paths)
    joins = engine.driver.join_files(paths, with_unified=True)
    script = "for f; do echo 0 > $f; done; echo joined; exec sleep 1000"
    with subprocess.Popen(["sh", "-c", script, "sh", *joins], stdout=subprocess.PIPE) as orphan:
        assert orphan.stdout is not None
        assert orphan.stdout.readline() == b"joined\n"
        Path(engine.store.directory("web"), "run.json.tmp").write_text("{")
        container.destroy()
        assert orphan.wait() == -signal.SIGKILL
    assert engine.ids() == []
    assert not engine.driver.exists(paths)


def test_a_signal_goes_to_the_init_alone(engine: Engine) -> None:
    script = "trap 'echo child > /tmp/child' USR1"
    config = shell(f"sh -c \"{script}; while :; do sleep 1; done\" & trap 'exit 9' USR1; wait")
    container = started(engine, config)
    assert eventually(lambda: len(container.processes()) >= 3)
    container.signal(signal.SIGUSR1)
    ended = container.wait(60)
    assert ended is not None
    assert ended.code == 9


def test_an_oom_is_told_to_poll_and_to_an_iterator_over_restarts(engine: Engine) -> None:
    container = engine.create("web", HOG)
    with container.oom() as events:
        poller = select.poll()
        poller.register(events.fileno(), select.POLLIN)
        for _ in range(2):
            process = container.start()
            assert poller.poll(60_000)
            assert next(events).at > 0
            ended = process.wait()
            assert ended is not None
            assert ended.oom


def test_the_oom_channel_ends_when_another_process_destroys(engine: Engine) -> None:
    container = started(engine)
    fds = len(os.listdir("/proc/self/fd"))
    with container.oom() as events, ThreadPoolExecutor(1) as threads:
        told = threads.submit(list, events)
        destroy_elsewhere(engine)
        assert told.result() == []
        assert events.read() is None
    assert len(os.listdir("/proc/self/fd")) == fds


def test_a_thread_that_iterates_stops_when_the_channel_is_closed(engine: Engine) -> None:
    events = started(engine).oom()
    with ThreadPoolExecutor(1) as threads:
        told = threads.submit(list, events)
        events.close()
        assert told.result() == []
    events.close()


def test_limits_are_set_live(engine: Engine) -> None:
    container = started(engine)
    container.set(Resources(pids=PidsLimits(max=33)))
    assert container.limits()["resources.pids.max"] == 33


def test_many_inits_are_awaited_by_one_event_loop(engine: Engine) -> None:
    processes = [engine.create(f"c{n}", shell(f"exit {n}")).start() for n in range(4)]

    async def ends() -> list[int | None]:
        return [end.code for end in await asyncio.gather(*(p.wait_async() for p in processes))]

    assert asyncio.run(ends()) == [0, 1, 2, 3]


def _fail_nth(monkeypatch: pytest.MonkeyPatch, nth: int) -> list[str]:
    """Make the nth change to a file system fail as on a full disk; return those asked for."""
    asked: list[str] = []

    def wrapped(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*args: object, **keywords: object) -> object:
            asked.append(name)
            if len(asked) == nth:
                raise OSError(28, "No space left on device", str(args[0]))
            return real(*args, **keywords)

        return call

    for name in ("mkdir", "mkfifo", "write", "rename"):
        monkeypatch.setattr(os, name, wrapped(name))
    return asked


def test_each_step_of_a_creation_that_fails_leaves_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.prepare()
    engine.monitor.ping()
    fds = len(os.listdir("/proc/self/fd"))
    failures, config = 0, Config(command=SLEEP.command, resources=SMALL)
    for nth in range(1, 200):
        with monkeypatch.context() as patch:
            asked = _fail_nth(patch, nth)
            code = code_of(lambda: engine.create("web", config).start())
        if len(asked) < nth:
            break
        if code is None:  # making what is there already may fail
            assert engine.load("web").status() is Status.RUNNING
        else:
            failures += 1
            assert not engine.handle("web").has_cgroup()
            assert engine.monitor.ping()["containers"] == 0
            assert engine.handle("web").status() in (Status.CREATED, Status.DESTROYED)
        engine.handle("web").destroy()
        assert os.listdir(engine.store.containers_dir) == []
        assert len(os.listdir("/proc/self/fd")) == fds
    assert code is None
    assert failures > 5


def test_each_step_of_a_change_that_fails_leaves_the_limits_as_they_were(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = started(engine)
    before, config = container.limits(), container.config
    for nth in range(1, 100):
        with monkeypatch.context() as patch:
            asked = _fail_nth(patch, nth)
            code = code_of(lambda: container.set(SMALL))
        if len(asked) < nth:
            break
        assert code is not None
        assert (container.limits(), container.refresh().config) == (before, config)
        assert not [n for n in os.listdir(engine.store.directory("web")) if n.endswith(".tmp")]
    assert code is None
    assert nth > 2


@pytest.mark.parametrize(
    "module", [reconciler.engine.engine, reconciler.engine.process, reconciler.engine.events]
)
def test_the_examples_of_the_public_interface_run(module: object, run_dirs: RunDirs) -> None:
    names = {"RUN_DIR": str(run_dirs.run_dir), "STATE_DIR": str(run_dirs.state_dir)}
    result = doctest.testmod(module, extraglobs=names)  # type: ignore[arg-type]
    Engine(run_dir=names["RUN_DIR"], state_dir=names["STATE_DIR"]).retire()
    assert (result.failed, result.attempted > 0) == (0, True)
