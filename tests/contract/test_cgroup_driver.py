"""What every cgroup driver keeps, on the real kernel: real cgroups, processes, OOM kills."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.cgroup import canonical, files
from reconciler.cgroup.choose import choose_driver
from reconciler.cgroup.detect import Mode, detect
from reconciler.cgroup.driver import CgroupDriver
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.config import (
    CpuLimits,
    IoDeviceLimits,
    IoLimits,
    MemoryLimits,
    PidsLimits,
    Resources,
)

pytestmark = pytest.mark.requires_root

MIB = 2**20
WAIT_S = 60  # an emulated guest is some 15 times slower

# Joins the cgroups named in its arguments, then runs one quoted Python text per line of input.
CHILD = """
import os, sys
for path in sys.argv[1:]:
    with open(path, "w") as file:
        file.write("0")
print("joined", flush=True)
for line in sys.stdin:
    exec(eval(line))
    print("done", flush=True)
"""


@dataclass
class Child:
    """A process in the cgroup that does what it is told, a line at a time."""

    process: subprocess.Popen[str]

    def send(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text!r}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def run(self, text: str) -> str:
        """Run a text to its end and return the last line that it printed."""
        self.send(text)
        printed = ""
        while (line := self.answer()) != "done":
            assert self.process.poll() is None
            printed = line
        return printed

    def answers_within(self, timeout_s: float) -> bool:
        assert self.process.stdout is not None
        return bool(select.select([self.process.stdout], [], [], timeout_s)[0])


@dataclass
class Cell:
    """One container's cgroups, and the processes that a test put into them."""

    driver: CgroupDriver
    paths: dict[str, str]
    children: list[Child] = field(default_factory=list)

    def spawn(self) -> Child:
        joins = self.driver.join_files(self.paths, with_unified=True)
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *joins],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        child = Child(process)
        self.children.append(child)
        assert child.answer() == "joined"
        return child

    def apply(self, resources: Resources, previous: Resources | None = None) -> None:
        assert self.driver.unsupported(resources) == []
        self.driver.apply(self.paths, resources, previous)
        assert self.driver.read_limits(self.paths) == self.driver.canonical_limits(resources)

    def file(self, v1: tuple[str, str], v2: str) -> str:
        """Return the path of a file that has one place in v1 and another in v2."""
        key, name = v1
        if key in self.paths:
            return f"{self.paths[key]}/{name}"
        return f"{self.paths['unified']}/{v2}"

    def close(self) -> None:
        self.driver.kill(self.paths)
        for child in self.children:
            child.process.kill()
            child.process.communicate()
        self.driver.remove(self.paths)


def eventually(condition: Callable[[], bool]) -> bool:
    """Tell whether the condition comes true; asks again as the kernel goes on."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.002)
    return True


def driver_of(mode: Mode, parent: str | None = None) -> CgroupDriver:
    """Return the driver of a kind, when this host can be that kind of host."""
    host = detect().mode
    if mode is Mode.V1 and host is not Mode.V2:
        mounts = files.read_text("/proc/self/mountinfo").splitlines(keepends=True)
        v1_alone = "".join(line for line in mounts if "cgroup2" not in line)
        return choose_driver(parent, mountinfo=v1_alone)
    if mode is not host:
        pytest.skip(f"the cgroups of this host are {host}, not {mode}")
    return choose_driver(parent)


@pytest.fixture(params=list(Mode), ids=str)
def driver(request: pytest.FixtureRequest) -> CgroupDriver:
    return driver_of(request.param)


@pytest.fixture
def cell(driver: CgroupDriver) -> Iterator[Cell]:
    base_name = f"reconciler-test-{os.getpid()}"
    paths = driver.paths(base_name, "web")
    driver.create(paths)
    cell = Cell(driver, paths)
    yield cell
    cell.close()
    driver.remove_base(base_name)
    assert not any(os.path.exists(os.path.dirname(path)) for path in paths.values())


@pytest.fixture
def disk(cell: Cell) -> str:
    """Return a whole block device that can be throttled."""
    names = [name for name in os.listdir("/sys/block") if Path(f"/dev/{name}").is_block_device()]
    real = [name for name in names if int(files.read_text(f"/sys/block/{name}/size")) > 0]
    if not real:
        pytest.skip("this host has no block device")
    if canonical.IO_MAX not in cell.driver.facts().fields:
        pytest.skip("this host has no io controller")
    return f"/dev/{sorted(real, key=lambda name: name.startswith(('loop', 'ram')))[0]}"


def test_a_cgroup_exists_from_create_to_remove(driver: CgroupDriver) -> None:
    paths = driver.paths(f"reconciler-test-{os.getpid()}", "one")
    assert not driver.exists(paths)
    driver.create(paths)
    driver.create(paths)
    assert driver.exists(paths)
    assert not driver.is_populated(paths)
    driver.remove(paths)
    assert not driver.exists(paths)
    driver.remove(paths)
    driver.remove_base(f"reconciler-test-{os.getpid()}")


def test_a_failed_create_leaves_nothing_behind(driver: CgroupDriver) -> None:
    paths = driver.paths(f"reconciler-test-{os.getpid()}", "two")
    with pytest.raises(OSError, match="/proc"):
        driver.create(paths | {"zzz": "/proc/no/such"})
    assert not any(os.path.exists(os.path.dirname(path)) for path in paths.values())


def test_everything_lies_below_the_callers_cgroup_or_an_ancestor(driver: CgroupDriver) -> None:
    found = detect()
    for key, base in driver.base_paths().items():
        hierarchy = found.unified if key == "unified" else found.v1[key]
        assert hierarchy is not None
        assert hierarchy.own is not None
        assert (hierarchy.own + "/").startswith(base.rstrip("/") + "/")
        if key != "unified":
            assert base == hierarchy.own


def test_a_new_cgroup_has_no_limits(cell: Cell) -> None:
    assert cell.driver.read_limits(cell.paths) == cell.driver.canonical_limits(Resources())
    assert set(cell.driver.read_limits(cell.paths)) == cell.driver.facts().fields


def full_resources(disk: str, cell: Cell) -> Resources:
    fields = cell.driver.facts().fields
    return Resources(
        memory=MemoryLimits(
            max_bytes=64 * MIB + 5,
            swap_bytes=4097 if canonical.MEMORY_SWAP in fields else None,
            high_bytes=48 * MIB if canonical.MEMORY_HIGH in fields else None,
        ),
        cpu=CpuLimits(max_milli=1500, weight=333, cpus="0", mems="0"),
        pids=PidsLimits(max=99),
        io=IoLimits(
            weight=500 if canonical.IO_WEIGHT in fields else None,
            max=(IoDeviceLimits(device=disk, read_bytes=2 * MIB, write_ops=77),),
        ),
    )


def test_all_limits_are_shown_as_they_were_asked_for(cell: Cell, disk: str) -> None:
    cell.apply(full_resources(disk, cell))
    shown = cell.driver.read_limits(cell.paths)
    status = os.stat(disk)
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    assert shown[canonical.MEMORY_MAX] == 64 * MIB
    assert shown[canonical.CPU_MAX] == 1500
    assert shown[canonical.CPU_WEIGHT] == 333
    assert shown[canonical.PIDS_MAX] == 99
    assert shown[canonical.IO_MAX] == ((number, 2 * MIB, None, None, 77),)


def test_limits_that_are_no_longer_asked_for_are_lifted(cell: Cell, disk: str) -> None:
    before = full_resources(disk, cell)
    cell.apply(before)
    cell.apply(Resources(), previous=before)


def test_memory_and_swap_go_up_and_down_in_any_order(cell: Cell) -> None:
    swap = canonical.MEMORY_SWAP in cell.driver.facts().fields
    steps = [(64, 0), (128, 64), (32, 300), (256, 1), (256, None), (300, 0), (None, None), (16, 8)]
    previous = None
    for limit, beyond in steps:
        wanted = Resources(
            memory=MemoryLimits(
                max_bytes=limit and limit * MIB,
                swap_bytes=beyond * MIB if swap and beyond is not None else None,
            )
        )
        cell.apply(wanted, previous)
        previous = wanted


@pytest.mark.parametrize("milli", [1, 3, 9, 10, 333, 1000, 2500])
def test_any_quota_can_follow_any_other(cell: Cell, milli: int) -> None:
    other = Resources(cpu=CpuLimits(max_milli=7))
    wanted = Resources(cpu=CpuLimits(max_milli=milli))
    cell.apply(other)
    cell.apply(wanted, other)
    cell.apply(other, wanted)


def test_a_limit_set_behind_our_back_is_seen_and_put_right(cell: Cell) -> None:
    wanted = Resources(pids=PidsLimits(max=20))
    cell.apply(wanted)
    files.write_text(cell.file(("pids", "pids.max"), "pids.max"), "7")
    files.write_text(cell.file(("memory", "memory.limit_in_bytes"), "memory.max"), str(50 * MIB))
    shown = cell.driver.read_limits(cell.paths)
    assert (shown[canonical.PIDS_MAX], shown[canonical.MEMORY_MAX]) == (7, 50 * MIB)
    cell.apply(wanted, previous=wanted)


def test_a_value_that_the_kernel_changes_is_an_error(cell: Cell, disk: str) -> None:
    too_many = IoDeviceLimits(device=disk, read_ops=2**32 + 5)  # the kernel keeps 32 bits
    with pytest.raises(ReconcilerError) as caught:
        cell.driver.apply(cell.paths, Resources(io=IoLimits(max=(too_many,))), None)
    assert caught.value.code is ErrorCode.LimitNotApplied
    assert caught.value.field == canonical.IO_MAX
    assert caught.value.path is not None


def test_what_the_kernel_refuses_is_an_error_with_path_and_data(cell: Cell) -> None:
    with pytest.raises(OSError, match=r"writing '4194305'.*pids\.max"):
        cell.driver.apply(cell.paths, Resources(pids=PidsLimits(max=2**22 + 1)), None)


def test_limits_of_a_cgroup_that_is_gone_are_an_error(cell: Cell) -> None:
    cell.driver.remove(cell.paths)
    with pytest.raises(FileNotFoundError):
        cell.driver.read_limits(cell.paths)


@pytest.mark.parametrize(
    ("resources", "name"),
    [
        (Resources(cpu=CpuLimits(cpus="0-4095")), canonical.CPU_CPUS),
        (Resources(cpu=CpuLimits(cpus="one")), canonical.CPU_CPUS),
        (Resources(cpu=CpuLimits(mems="999")), canonical.CPU_MEMS),
        (Resources(pids=PidsLimits(max=2**22 + 1)), canonical.PIDS_MAX),
        (
            Resources(io=IoLimits(max=(IoDeviceLimits(device="/dev/none", read_ops=1),))),
            canonical.IO_MAX,
        ),
        (
            Resources(io=IoLimits(max=(IoDeviceLimits(device="4095:77", read_ops=1),))),
            canonical.IO_MAX,
        ),
    ],
)
def test_what_cannot_be_enforced_is_told_beforehand(
    driver: CgroupDriver, resources: Resources, name: str
) -> None:
    (found,) = driver.unsupported(resources)
    assert found.field == name
    assert found.reason
    assert found.how


def test_memory_high_is_v2s_alone(driver: CgroupDriver) -> None:
    found = driver.unsupported(Resources(memory=MemoryLimits(high_bytes=MIB)))
    if canonical.MEMORY_HIGH in driver.facts().fields:
        assert found == []
    else:
        assert "cgroup v1 has no memory.high" in found[0].reason
        assert "unified_cgroup_hierarchy=1" in found[0].how


def test_the_oom_killer_is_noticed(cell: Cell) -> None:
    cell.apply(Resources(memory=MemoryLimits(max_bytes=32 * MIB)))
    child = cell.spawn()
    assert cell.driver.oom_kills(cell.paths) == 0
    # Locked pages cannot go to a swap device; there is no way out but the killer.
    child.send(
        "import ctypes; m=ctypes.CDLL(None, use_errno=True); m.mlockall(3); b=b'x' * (200 << 20)"
    )
    assert child.process.wait(WAIT_S) == -signal.SIGKILL
    assert cell.driver.oom_kills(cell.paths) >= 1
    assert cell.driver.read_stats(cell.paths).memory.oom_kills >= 1


def test_no_more_tasks_than_allowed_can_be_made(cell: Cell) -> None:
    cell.apply(Resources(pids=PidsLimits(max=1)))
    child = cell.spawn()
    answer = child.run("try: os.fork()\nexcept OSError as error: print(error.errno)")
    assert answer == str(errno.EAGAIN)


def test_a_quota_throttles(cell: Cell) -> None:
    cell.apply(Resources(cpu=CpuLimits(max_milli=100)))
    child = cell.spawn()
    child.run("import time; t = time.process_time()\nwhile time.process_time() < t + 0.05: pass")
    cpu = cell.driver.read_stats(cell.paths).cpu
    assert cpu.throttled_periods > 0
    assert cpu.throttled_ns > 0
    assert cpu.usage_ns >= 50_000_000


def test_a_cpuset_holds_its_processes(cell: Cell) -> None:
    cell.apply(Resources(cpu=CpuLimits(cpus="0")))
    assert cell.spawn().run("print(os.sched_getaffinity(0))") == "{0}"


def readable_on(disk: str, directory: Path) -> Path:
    """Return a file of 1 MiB that lies on the disk: a new one, or else the disk itself."""
    if directory.stat().st_dev != os.stat(disk).st_rdev:
        return Path(disk)
    path = directory / "data"
    with path.open("wb") as file:
        file.write(b"x" * MIB)
        os.fsync(file.fileno())
    return path


def test_a_disk_throttle_slows_reads_down(cell: Cell, disk: str, tmp_path: Path) -> None:
    cell.apply(Resources(io=IoLimits(max=(IoDeviceLimits(device=disk, read_bytes=MIB),))))
    child = cell.spawn()
    source = readable_on(disk, tmp_path)
    child.run("import mmap; buffer = mmap.mmap(-1, 256 << 10)")
    child.run(f"fd = os.open({str(source)!r}, os.O_RDONLY | os.O_DIRECT)")
    start = time.monotonic()
    child.run("os.preadv(fd, [buffer], 0)")
    assert time.monotonic() - start > 0.1
    io = cell.driver.read_stats(cell.paths).io
    assert io.read_bytes >= 256 << 10
    assert io.read_ops >= 1


def test_figures_tell_what_a_process_used(cell: Cell) -> None:
    cell.apply(Resources(memory=MemoryLimits(max_bytes=128 * MIB), pids=PidsLimits(max=9)))
    before = time.time()
    cell.spawn().run("kept = b'x' * (20 << 20)")
    stats = cell.driver.read_stats(cell.paths)
    assert before <= stats.at <= time.time()
    assert (stats.pids.current, stats.pids.limit) == (1, 9)
    assert 20 * MIB <= stats.memory.usage_bytes <= 128 * MIB
    assert stats.memory.limit_bytes == 128 * MIB
    assert (stats.memory.anon_bytes or 0) >= 20 * MIB
    assert (stats.memory.peak_bytes or 2**63) >= 20 * MIB
    assert stats.cpu.usage_ns > 0


def test_a_frozen_process_does_nothing_until_it_is_thawed(cell: Cell) -> None:
    child = cell.spawn()
    assert cell.driver.freezer_state(cell.paths) == "thawed"
    cell.driver.freeze(cell.paths)
    assert eventually(lambda: cell.driver.freezer_state(cell.paths) == "frozen")
    child.send("print('alive')")
    assert not child.answers_within(0.1)
    assert cell.driver.processes(cell.paths) == [child.process.pid]
    cell.driver.thaw(cell.paths)
    assert cell.driver.freezer_state(cell.paths) == "thawed"
    assert child.answer() == "alive"


def test_kill_takes_a_tree_that_keeps_forking(cell: Cell) -> None:
    cell.apply(Resources(pids=PidsLimits(max=60)))
    child = cell.spawn()
    child.run("import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)")
    child.send("while True:\n try: os.fork()\n except OSError: os.getpid() % 3 or os._exit(0)")
    assert eventually(lambda: len(cell.driver.processes(cell.paths)) > 20)
    cell.driver.kill(cell.paths)
    assert eventually(lambda: not cell.driver.is_populated(cell.paths))
    assert cell.driver.processes(cell.paths) == []
    assert child.process.wait(WAIT_S) == -signal.SIGKILL


def test_kill_takes_frozen_processes_and_leaves_the_cgroup_thawed(cell: Cell) -> None:
    child = cell.spawn()
    cell.driver.freeze(cell.paths)
    assert eventually(lambda: cell.driver.freezer_state(cell.paths) == "frozen")
    cell.driver.kill(cell.paths)
    assert child.process.wait(WAIT_S) == -signal.SIGKILL
    assert cell.driver.freezer_state(cell.paths) == "thawed"
    assert cell.spawn().run("print('alive')") == "alive"


def test_a_zombie_does_not_keep_a_cgroup_alive(cell: Cell) -> None:
    child = cell.spawn()
    cell.driver.kill(cell.paths)
    os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
    assert eventually(lambda: not cell.driver.is_populated(cell.paths))
    cell.driver.remove(cell.paths)
    assert not cell.driver.exists(cell.paths)


def test_nested_cgroups_are_seen_killed_and_removed(cell: Cell) -> None:
    nested = {key: f"{path}/inner/most" for key, path in cell.paths.items()}
    cell.driver.create(nested)
    inner = Cell(cell.driver, nested)
    outer_child, inner_child = cell.spawn(), inner.spawn()
    pids = {outer_child.process.pid, inner_child.process.pid}
    assert set(cell.driver.processes(cell.paths)) == pids
    cell.driver.kill(cell.paths)
    assert {outer_child.process.wait(WAIT_S), inner_child.process.wait(WAIT_S)} == {-9}
    inner_child.process.communicate()
    cell.driver.remove(cell.paths)
    assert not any(map(os.path.exists, cell.paths.values()))


def test_a_cgroup_with_a_live_process_is_not_removed(cell: Cell) -> None:
    cell.spawn()
    with pytest.raises(OSError, match="busy") as caught:
        cell.driver.remove(cell.paths)
    assert caught.value.errno == errno.EBUSY


def test_kill_and_processes_of_a_cgroup_that_is_gone_are_fine(cell: Cell) -> None:
    cell.driver.remove(cell.paths)
    cell.driver.kill(cell.paths)
    assert cell.driver.processes(cell.paths) == []
    assert cell.driver.oom_kills(cell.paths) == 0


def test_a_clone_goes_into_the_unified_cgroup_and_joins_the_others(cell: Cell) -> None:
    unified = cell.paths.get("unified")
    assert cell.driver.clone_dir(cell.paths) == unified
    joins = cell.driver.join_files(cell.paths)
    assert len(joins) == len(set(joins)) == len(set(cell.paths.values()) - {unified})
    assert set(cell.driver.join_files(cell.paths, with_unified=True)) == {
        f"{path}/cgroup.procs" for path in cell.paths.values()
    }


def own_path_everywhere() -> str:
    """Return a cgroup path that is at or below our base in every hierarchy."""
    found = detect()
    if found.mode is Mode.V2 and found.unified:
        return choose_driver().base_paths()["unified"][len(found.unified.mount_point) :]
    hierarchies = [*found.v1.values(), *([found.unified] if found.unified else [])]
    own_paths = [(item.own or "")[len(item.mount_point) :] for item in hierarchies]
    longest = max(own_paths, key=len)
    if not all((longest + "/").startswith(path + "/") for path in own_paths):
        pytest.skip("our own cgroups lie apart: no path is below all of them")
    return longest


@pytest.mark.parametrize("mode", list(Mode), ids=str)
def test_a_named_parent_is_used_in_every_hierarchy(mode: Mode) -> None:
    driver_of(mode)
    own = own_path_everywhere()
    driver = driver_of(mode, parent=f"{own}/reconciler-test-{os.getpid()}/parent")
    paths = driver.paths("base", "web")
    try:
        driver.create(paths)
        driver.apply(paths, Resources(pids=PidsLimits(max=5)), None)
        tail = f"{own}/reconciler-test-{os.getpid()}/parent/base/web"
        assert all(path.endswith(tail) for path in paths.values())
        assert driver.read_limits(paths)[canonical.PIDS_MAX] == 5
    finally:
        driver.remove(paths)
        driver.remove_base("base")
        for path in paths.values():
            remove_empty_ancestors(Path(path))


def remove_empty_ancestors(path: Path) -> None:
    """Remove what `create` made above, as far up as it is in no use."""
    with contextlib.suppress(OSError):
        for ancestor in list(path.parents)[1:]:
            ancestor.rmdir()
