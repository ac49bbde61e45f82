"""What every cgroup driver does to processes: OOM, throttles, freezer, kill; all of it real."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from reconciler.cgroup import files, tree
from reconciler.cgroup.driver import CgroupDriver
from reconciler.model.config import (
    CpuLimits,
    IoDeviceLimits,
    IoLimits,
    MemoryLimits,
    PidsLimits,
    Resources,
)
from tests.contract.cgroup_cell import MIB, WAIT_S, Cell, eventually

pytestmark = pytest.mark.requires_root


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


def test_kernels_before_5_14_kill_through_pidfds(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "unified" not in cell.paths:
        pytest.skip("v1 never has cgroup.kill: the other tests of kill show this way")
    children = [cell.spawn() for _ in range(3)]
    cell.driver.freeze(cell.paths)
    monkeypatch.setattr(files, "exists", lambda path: not path.endswith("/cgroup.kill"))
    cell.driver.kill(cell.paths)
    assert {child.process.wait(WAIT_S) for child in children} == {-signal.SIGKILL}
    assert cell.driver.freezer_state(cell.paths) == "thawed"


def test_a_crash_between_mkdir_and_set_up_is_made_good(driver: CgroupDriver) -> None:
    base_name = f"reconciler-test-{os.getpid()}"
    paths = driver.paths(base_name, "half")
    for path in set(paths.values()):
        tree.make(path)  # and no more: an empty v1 cpuset, v2 controllers not enabled
    driver.create(paths)
    assert driver.read_limits(paths) == driver.canonical_limits(Resources())
    driver.remove(paths)
    driver.remove_base(base_name)


def test_a_zombie_does_not_keep_a_cgroup_alive(cell: Cell) -> None:
    child = cell.spawn()
    cell.driver.kill(cell.paths)
    os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
    assert eventually(lambda: not cell.driver.is_populated(cell.paths))
    cell.driver.remove(cell.paths)
    assert not cell.driver.exists(cell.paths)


def test_nested_cgroups_are_seen_killed_and_removed(cell: Cell) -> None:
    nested = {key: f"{path}/inner/most" for key, path in cell.paths.items()}
    # Made as a container would: its own v2 cgroup holds processes and hands down nothing.
    if "unified" in nested:
        tree.make(nested["unified"])
    cell.driver.create({key: path for key, path in nested.items() if key != "unified"})
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


def test_what_a_process_is_in_is_not_removed_by_trying(cell: Cell) -> None:
    child = cell.spawn()
    assert not tree.try_remove(cell.paths)
    assert cell.driver.exists(cell.paths)
    assert child.run("print('alive')") == "alive"
    child.process.kill()
    child.process.wait(WAIT_S)
    assert eventually(lambda: tree.try_remove(cell.paths))
    assert not any(map(os.path.exists, cell.paths.values()))
    assert tree.try_remove(cell.paths)  # what is gone is gone
