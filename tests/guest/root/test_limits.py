"""Limits that only a machine of one's own can be tried with: swap, the kernel's own words, fields
that need CAP_SYS_RESOURCE. Those of every driver are in tests/contract, run here too."""

from __future__ import annotations

import errno
import mmap
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import Config, Container, Engine, MemoryLimits, Resources, Status
from reconciler.cgroup.driver import CgroupDriver
from reconciler.model.config import HugetlbLimit, Rlimit
from tests.conftest import RunDirs
from tests.contract.cgroup_cell import MIB, Cell, eventually
from tests.contract.conftest import cell  # noqa: F401 - a fixture
from tests.guest.command_line import CommandLine

MAP_HUGETLB = 0x40000
HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")


@pytest.fixture
def driver() -> CgroupDriver:
    from reconciler.cgroup.choose import choose_driver

    return choose_driver()


@pytest.fixture
def engine(run_dirs: RunDirs) -> Iterator[Engine]:
    made = Engine(run_dir=str(run_dirs.run_dir), state_dir=str(run_dirs.state_dir))
    yield made
    for name in made.ids():
        made.handle(name).destroy()
    made.retire()


@pytest.fixture
def swap() -> Iterator[None]:
    subprocess.run(["mkswap", "/dev/vda"], check=True, capture_output=True)
    subprocess.run(["swapon", "/dev/vda"], check=True)
    yield
    subprocess.run(["swapoff", "/dev/vda"], check=True)


@pytest.fixture
def huge_pages() -> Iterator[None]:
    HUGE_PAGES.write_text("4")
    assert int(HUGE_PAGES.read_text()) == 4
    yield
    HUGE_PAGES.write_text("0")


def read(container: Container, name: str) -> str:
    return Path(container.record.cgroups["unified"], name).read_text().strip()


def events(container: Container, name: str) -> dict[str, int]:
    rows = [line.split() for line in read(container, name).splitlines()]
    return {key: int(value) for key, value in rows}


def test_an_oom_kill_is_told_by_the_channel_and_in_the_status(
    run_dirs: RunDirs, tmp_path: Path
) -> None:
    line = CommandLine(run_dirs)
    (tmp_path / "hog.yaml").write_text(
        "command: [sleep, '1000']\nresources: {memory: {max: 16Mi}}\nrestart: {policy: never}\n"
    )
    line.run("apply", str(tmp_path))
    engine = Engine(run_dir=str(run_dirs.run_dir), state_dir=str(run_dirs.state_dir))
    with engine.load("hog").oom() as channel:
        (tmp_path / "hog.yaml").write_text(
            "command: [tail, /dev/zero]\nresources: {memory: {max: 16Mi}}\n"
            "restart: {policy: never}\n"
        )
        line.run("apply", str(tmp_path))
        assert next(channel).kills >= 1
    ended = engine.load("hog").wait()
    assert ended is not None
    assert ended.oom
    exit_shown = line.items()["hog"]["lastExit"]
    assert (exit_shown["signal"], exit_shown["oom"]) == (9, True)
    assert "out of memory" in line.run("status")
    line.run("destroy", "--all")


def test_above_memory_high_it_is_reclaimed_and_not_killed(engine: Engine, swap: None) -> None:
    limits = MemoryLimits(high_bytes=16 * MIB)
    script = "x = bytearray(40 << 20); print(len(x), flush=True); import time; time.sleep(1000)"
    config = Config(command=("/usr/bin/python3", "-c", script), resources=Resources(memory=limits))
    container = engine.create("web", config)
    container.start()
    assert read(container, "memory.high") == str(16 * MIB)
    assert eventually(lambda: events(container, "memory.events")["high"] > 0)
    assert eventually(lambda: int(read(container, "memory.swap.current")) > MIB)
    assert container.status() is Status.RUNNING
    assert events(container, "memory.events")["oom_kill"] == 0


def test_swap_is_used_up_to_its_limit_and_then_it_is_killed(engine: Engine, swap: None) -> None:
    limits = MemoryLimits(max_bytes=16 * MIB, swap_bytes=8 * MIB)
    config = Config(command=("/usr/bin/tail", "/dev/zero"), resources=Resources(memory=limits))
    container = engine.create("web", config)
    process = container.start()
    ended = process.wait()
    assert ended is not None
    assert ended.oom
    assert read(container, "memory.swap.max") == str(8 * MIB)
    assert events(container, "memory.swap.events")["max"] > 0


def test_no_more_huge_pages_than_allowed_are_had(cell: Cell, huge_pages: None) -> None:  # noqa: F811
    size = 2 * MIB
    limits = Resources(hugetlb=(HugetlbLimit(page_size_bytes=size, max_bytes=size),))
    cell.driver.apply(cell.paths, limits, None)
    assert Path(cell.paths["unified"], "hugetlb.2MB.max").read_text() == f"{size}\n"
    child = cell.spawn()
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB
    child.run(f"import mmap; one = mmap.mmap(-1, {size}, {flags}); one[0] = 1")
    more = f"try: mmap.mmap(-1, {size}, {flags})\nexcept OSError as error: print(error.errno)"
    assert child.run(more) == str(errno.ENOMEM)


def test_files_of_v2_without_a_field_are_set_and_changed_live(engine: Engine) -> None:
    def with_files(*pairs: tuple[str, str]) -> Resources:
        return Resources(unified=pairs)

    config = Config(
        command=("/bin/sleep", "1000"),
        resources=with_files(("cgroup.max.descendants", "3"), ("memory.swap.high", "8388608")),
    )
    container = engine.create("web", config)
    container.start()
    assert read(container, "cgroup.max.descendants") == "3"
    assert read(container, "memory.swap.high") == "8388608"
    container.set(with_files(("cgroup.max.descendants", "4")))
    assert read(container, "cgroup.max.descendants") == "4"
    assert read(container, "memory.swap.high") == "max"


def test_pressure_is_told_of_what_waits(engine: Engine) -> None:
    container = engine.create("web", Config(command=("/bin/sh", "-c", "while :; do :; done")))
    container.start()
    assert set(container.stats().pressure) == {"cpu", "memory", "io"}


def test_rlimits_are_raised_and_the_oom_score_is_lowered(engine: Engine) -> None:
    raised = 3 * 2**18
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] < raised
    config = Config(
        command=("/bin/sleep", "1000"),
        oom_score_adj=-500,
        rlimits=(Rlimit(type="NOFILE", soft=raised, hard=raised),),
    )
    container = engine.create("web", config)
    pid = container.start().pid
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "-500\n"
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (raised, raised)


def test_a_container_is_frozen_killed_and_gone_in_the_kernel(engine: Engine) -> None:
    script = "while :; do sleep 1000 & sleep 1000; done"
    container = engine.create("web", Config(command=("/bin/sh", "-c", script)))
    container.start()
    container.pause()
    assert eventually(lambda: container.status() is Status.PAUSED)
    assert events(container, "cgroup.events")["frozen"] == 1
    directory = Path(container.record.cgroups["unified"])
    container.destroy()
    assert not directory.exists()
