"""Creating and starting a container at once or not at all: each step fails in turn, by real means.

The means: no descriptors left in the caller or the monitor, no room or no inodes in the run
directory, a run directory or a cgroup that is read-only, an id that is taken by something else.
`tests/fire/test_every_step.py` has each system call of a start fail.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import pytest

from reconciler import Config, Engine, Status
from reconciler.errors import ErrorCode
from tests.contract.test_container_interface import SLEEP, SMALL, code_of, engine

__all__ = ["engine"]  # a fixture

pytestmark = pytest.mark.requires_root

CONFIG = Config(command=SLEEP.command, resources=SMALL)
_MOST = 400  # tries of one means, long before which nothing fails any more
Fault = AbstractContextManager[None]


def world(engine: Engine) -> dict[str, object]:
    """Return all that a creation could leave, in this process, the monitor and the kernel."""
    monitor = engine.monitor.ping()
    pid = monitor["pid"]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "files": sorted(str(path) for path in Path(engine.run_dir, "containers").rglob("*")),
        "state": sorted(str(path) for path in Path(engine.state_dir).rglob("*")),
        "cgroup": engine.handle("web").has_cgroup(),
        "containers": monitor["containers"],
        "children": Path(f"/proc/{pid}/task/{pid}/children").read_text(),
        "mounts": [line for line in mounts if engine.run_dir in line or engine.state_dir in line],
        "own fds": len(os.listdir("/proc/self/fd")),
        "fds of the monitor": [fd for fd in _files_of(pid) if fd != "socket"],
        "monitor": pid,
    }


def _files_of(pid: int) -> list[str]:
    """Return what a process has open, in order; a connection may be closing."""
    directory, found = f"/proc/{pid}/fd", list[str]()
    for fd in os.listdir(directory):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"{directory}/{fd}").split(":[")[0])
    return sorted(found)


def create_and_start(engine: Engine) -> ErrorCode | None:
    return code_of(lambda: engine.create("web", CONFIG).start())


def sweep(engine: Engine, faults: Iterable[Fault]) -> list[ErrorCode]:
    """Try a creation with one fault after the other, until one does no harm; return the codes.

    After each nothing is left, but for a record of what was created and could not be started; and
    the same works once the fault is no more.
    """
    assert create_and_start(engine) is None  # what is loaded and made once is there from now on
    engine.load("web").destroy()
    with closing(engine.exits()):  # the monitor does not end meanwhile, with nothing to do
        return _sweep(engine, faults)


def _sweep(engine: Engine, faults: Iterable[Fault]) -> list[ErrorCode]:
    before, codes = world(engine), list[ErrorCode]()
    for fault in faults:
        with fault:
            code = create_and_start(engine)
        if code is None:
            assert engine.load("web").status() is Status.RUNNING
            engine.load("web").destroy()
            assert world(engine) == before
            return codes
        codes.append(code)
        look = world(engine)
        if engine.handle("web").status() is not Status.DESTROYED:
            assert engine.load("web").status() is Status.CREATED
            directory = engine.store.directory("web")
            assert look["files"] == [directory, f"{directory}/state.json"]
            look["files"] = []
            engine.load("web").destroy()
        assert look == before, (code, look, before)
    raise AssertionError("nothing went well in the end")


@contextmanager
def nofile_limit(pid: int, limit: int) -> Iterator[None]:
    former = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, former[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, former)


def test_a_caller_that_runs_out_of_descriptors(engine: Engine) -> None:
    engine.prepare()
    limits = range(len(os.listdir("/proc/self/fd")) - 1, _MOST)
    codes = sweep(engine, (nofile_limit(os.getpid(), limit) for limit in limits))
    assert len(codes) > 1


def test_a_monitor_that_runs_out_of_descriptors(engine: Engine) -> None:
    engine.prepare()
    pid = engine.monitor.ping()["pid"]
    first = len(os.listdir(f"/proc/{pid}/fd")) + 2  # with one for `exits`, one it can answer by
    codes = sweep(engine, (nofile_limit(pid, limit) for limit in range(first, _MOST)))
    assert len(codes) > 3


@contextmanager
def mounted(target: str, *options: str) -> Iterator[None]:
    subprocess.run(["mount", *options, target], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", target], check=True)


@contextmanager
def readonly(directory: str) -> Iterator[None]:
    with mounted(directory, "--bind", directory):
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
        yield


@contextmanager
def remounted(target: str, narrow: str, wide: str) -> Iterator[None]:
    """Give a tmpfs other limits for a while."""
    subprocess.run(["mount", "-o", f"remount,{narrow}", target], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", f"remount,{wide}", target], check=True)


@pytest.fixture
def small_engine(engine: Engine) -> Iterator[Engine]:
    """The engine with its records in a file system of their own, ended before that is."""
    options = ("-t", "tmpfs", "-o", "size=1m,nr_inodes=1000,mode=0700", "tmpfs")
    engine.prepare()
    with mounted(engine.run_dir, *options):
        engine.prepare()
        yield engine
        engine.handle("web").destroy()
        engine.retire()


def test_a_run_directory_without_inodes(small_engine: Engine) -> None:
    small_engine.monitor.ping()
    stat = os.statvfs(small_engine.run_dir)
    used = stat.f_files - stat.f_ffree
    narrow = (f"nr_inodes={count}" for count in range(used, _MOST))
    run_dir = small_engine.run_dir
    codes = sweep(small_engine, (remounted(run_dir, one, "nr_inodes=1000") for one in narrow))
    assert set(codes) == {ErrorCode.NoSpace}
    assert len(codes) > 3


def test_a_run_directory_without_room(small_engine: Engine) -> None:
    small_engine.monitor.ping()
    stat = os.statvfs(small_engine.run_dir)
    used = stat.f_blocks - stat.f_bfree
    narrow = (f"size={count * stat.f_frsize}" for count in range(max(1, used), _MOST))
    run_dir = small_engine.run_dir
    codes = sweep(small_engine, (remounted(run_dir, one, "size=1m") for one in narrow))
    assert set(codes) == {ErrorCode.NoSpace}


@contextmanager
def nothing() -> Iterator[None]:
    yield


def test_a_run_directory_that_is_read_only(engine: Engine) -> None:
    engine.prepare()
    engine.monitor.ping()
    codes = sweep(engine, (readonly(engine.store.containers_dir), nothing()))
    assert len(codes) == 1


def test_a_cgroup_that_cannot_be_made_in_each_hierarchy_in_turn(engine: Engine) -> None:
    engine.prepare()
    parents = sorted({os.path.dirname(p) for p in engine.handle("web").record.cgroups.values()})
    faults = [*(readonly(parent) for parent in parents), nothing()]
    codes = sweep(engine, faults)
    assert len(codes) == len(parents)


@pytest.mark.parametrize(
    ("put", "code"),
    [
        (lambda path: path.write_text(""), ErrorCode.SystemError),
        (lambda path: path.symlink_to("/tmp"), ErrorCode.SystemError),
        (lambda path: (path / "x").mkdir(parents=True), ErrorCode.IdInUse),
    ],
    ids=["file", "link", "directory"],
)
def test_an_id_that_something_else_has(
    engine: Engine, put: Callable[[Path], object], code: ErrorCode
) -> None:
    engine.prepare()
    place = Path(engine.store.directory("web"))
    with closing(engine.exits()):
        before = world(engine)
        put(place)
        taken = world(engine)["files"]
        assert create_and_start(engine) is code
        assert world(engine) == before | {"files": taken}
    if place.is_dir() and not place.is_symlink():
        (place / "x").rmdir()
        place.rmdir()
    else:
        place.unlink()
    assert create_and_start(engine) is None
