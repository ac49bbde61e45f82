"""The v2 controllers on a tree of files as a 6.1 kernel shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cgroup import canonical
from reconciler.cgroup.canonical import LimitFacts, all_limits, canonical_limits
from reconciler.cgroup.v2 import cpu, cpuset, io, memory, pids
from reconciler.model.config import (
    CpuLimits,
    IoDeviceLimits,
    IoLimits,
    MemoryLimits,
    PidsLimits,
    Resources,
)
from reconciler.model.stats import Stats

MIB = 2**20
FRESH = {
    "memory.max": "max\n",
    "memory.high": "max\n",
    "memory.low": "0\n",
    "memory.min": "0\n",
    "memory.oom.group": "0\n",
    "memory.swap.max": "max\n",
    "memory.current": "12345344\n",
    "memory.peak": "22345344\n",
    "memory.swap.current": "4096\n",
    "memory.stat": "anon 8192000\nfile 3072\nkernel_stack 16384\n",
    "memory.events": "low 0\nhigh 0\nmax 14\noom 2\noom_kill 2\noom_group_kill 0\n",
    "cpu.max": "max 100000\n",
    "cpu.weight": "100\n",
    "cpu.max.burst": "0\n",
    "cpu.idle": "0\n",
    "cpu.stat": "usage_usec 900\nuser_usec 500\nsystem_usec 400\n"
    "nr_periods 7\nnr_throttled 3\nthrottled_usec 250\n",
    "cpuset.cpus": "\n",
    "cpuset.mems": "\n",
    "cpuset.cpus.effective": "0-1\n",
    "cpuset.mems.effective": "0\n",
    "pids.max": "max\n",
    "pids.current": "3\n",
    "io.max": "",
    "io.weight": "default 100\n",
    "io.stat": "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n"
    "254:16 rbytes=1 wbytes=1 rios=1 wios=1 dbytes=0 dios=0\n8:0 \n",
}
FACTS = LimitFacts(fields=frozenset(memory.FIELDS + cpu.FIELDS + io.FIELDS + pids.FIELDS))


@pytest.fixture
def path(tmp_path: Path) -> str:
    for name, text in FRESH.items():
        (tmp_path / name).write_text(text)
    return str(tmp_path)


def lines_of(path: str, name: str) -> list[str]:
    return Path(path, name).read_text().splitlines()


def test_a_fresh_cgroup_has_no_limits(path: str) -> None:
    shown = {}
    for controller in (memory, cpu, cpuset, pids, io):
        shown.update(controller.read_limits(path))
    facts = LimitFacts(fields=frozenset(shown))
    assert shown == canonical_limits(Resources(), facts)
    assert len(shown) == 16


@pytest.mark.parametrize(
    ("text", "milli"),
    [("150000 100000", 1500), ("5000 1000000", 5), ("max 100000", None), ("1 3", 333.333)],
)
def test_quota_and_period_are_read_as_cpus(path: str, text: str, milli: float | None) -> None:
    Path(path, "cpu.max").write_text(text + "\n")
    assert cpu.read_limits(path)[canonical.CPU_MAX] == milli


def test_limits_are_read_as_6_1_writes_them(path: str) -> None:
    Path(path, "io.max").write_text(
        "8:16 rbps=2097152 wbps=max riops=max wiops=120\n8:0 rbps=max wbps=max riops=1 wiops=max\n"
    )
    Path(path, "io.weight").write_text("default 200\n8:16 50\n")
    Path(path, "memory.high").write_text("1048576\n")
    assert io.read_limits(path) == {
        canonical.IO_MAX: (("8:0", None, None, 1, None), ("8:16", 2 * MIB, None, None, 120)),
        canonical.IO_WEIGHT: 200,
        canonical.IO_WEIGHTS: (("8:16", 50),),
    }
    assert memory.read_limits(path)[canonical.MEMORY_HIGH] == MIB


def test_limits_are_written_as_the_kernel_takes_them(path: str) -> None:
    device = IoDeviceLimits(device="254:0", read_bytes=7, write_ops=9)
    resources = Resources(
        memory=MemoryLimits(max_bytes=64 * MIB + 1, high_bytes=48 * MIB, swap_bytes=0),
        cpu=CpuLimits(max_milli=5, weight=300, cpus="1,0"),
        pids=PidsLimits(max=9),
        io=IoLimits(weight=250, max=(device,)),
    )
    wanted = all_limits(resources, FACTS)
    for controller in (memory, cpu, cpuset, pids, io):
        controller.write_limits(path, wanted)
    assert lines_of(path, "memory.max")[0] == str(64 * MIB)
    assert lines_of(path, "memory.high")[0] == str(48 * MIB)
    assert lines_of(path, "memory.swap.max")[0] == "0ax"  # written over "max", not truncated
    assert lines_of(path, "cpu.max") == ["5000 1000000"]
    assert lines_of(path, "cpu.weight") == ["300"]
    assert lines_of(path, "cpuset.cpus") == ["0-1"]
    assert lines_of(path, "cpuset.mems") == [""]
    assert lines_of(path, "pids.max")[0].startswith("9")
    assert lines_of(path, "io.weight")[0] == "default 250"
    assert lines_of(path, "io.max") == ["254:0 rbps=7 wbps=max riops=max wiops=9"]


def test_a_device_that_is_no_longer_throttled_is_told_max(path: str) -> None:
    Path(path, "io.max").write_text("8:0 rbps=1 wbps=max riops=max wiops=max\n")
    io.write_limits(path, all_limits(Resources(), FACTS))
    assert lines_of(path, "io.max")[0] == "8:0 rbps=max wbps=max riops=max wiops=max"


def test_without_iocost_the_weight_is_bfqs(path: str) -> None:
    Path(path, "io.weight").unlink()
    assert canonical.IO_WEIGHT not in io.read_limits(path)
    Path(path, "io.bfq.weight").write_text("default 100\n")
    assert io.has_bfq(path)
    io.write_limits(path, {canonical.IO_WEIGHT: 10_000, canonical.IO_MAX: ()})
    assert lines_of(path, "io.bfq.weight") == ["default 1000"]
    assert io.read_limits(path)[canonical.IO_WEIGHT] == 10_000


def test_figures_are_read_as_6_1_writes_them(path: str) -> None:
    stats = Stats(at=1.0)
    for controller in (memory, cpu, cpuset, pids, io):
        stats = controller.read_stats(path, stats)
    assert stats.memory.usage_bytes == 12345344
    assert stats.memory.peak_bytes == 22345344
    assert (stats.memory.anon_bytes, stats.memory.file_bytes) == (8192000, 3072)
    assert stats.memory.oom_kills == 2
    assert (stats.cpu.usage_ns, stats.cpu.throttled_ns) == (900_000, 250_000)
    assert (stats.cpu.periods, stats.cpu.throttled_periods) == (7, 3)
    assert (stats.pids.current, stats.pids.limit) == (3, None)
    assert (stats.io.read_bytes, stats.io.write_ops) == (4097, 3)


def test_swap_that_is_not_accounted_is_told_and_not_shown(path: str) -> None:
    Path(path, "memory.swap.max").unlink()
    wanted = all_limits(Resources(memory=MemoryLimits(swap_bytes=1)), FACTS)
    (found,) = memory.unsupported(path, wanted)
    assert found.field == canonical.MEMORY_SWAP
    assert "swapaccount=1" in found.how
    assert canonical.MEMORY_SWAP not in memory.read_limits(path)
    assert canonical.MEMORY_SWAP not in memory.shown_fields(path)


def test_cpus_beyond_the_effective_ones_are_told(path: str) -> None:
    wanted = all_limits(Resources(cpu=CpuLimits(cpus="1-3")), FACTS)
    (found,) = cpuset.unsupported(path, wanted)
    assert (found.field, found.reason) == (canonical.CPU_CPUS, "2-3 not available here")
    assert found.how == "use some of 0-1"
