"""The further limits on each cgroup driver, on the real kernel: all live, read back, put back."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cgroup import canonical
from reconciler.cgroup.driver import CgroupDriver
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.config import (
    CpuLimits,
    HugetlbLimit,
    IoLimits,
    MemoryLimits,
    NetClass,
    PidsLimits,
    RdmaLimit,
    Resources,
)
from tests.contract.cgroup_cell import MIB, Cell, driver_of

pytestmark = pytest.mark.requires_root


def is_v1(cell: Cell, controller: str) -> bool:
    return controller in cell.paths


def content(cell: Cell, v1: tuple[str, str], v2: str) -> str:
    return Path(cell.file(v1, v2)).read_text().strip()


def check_live(cell: Cell, wanted: Resources) -> None:
    """Apply limits to a new cgroup, lift them live, and set them live."""
    none = Resources()
    for resources, previous in ((wanted, None), (none, wanted), (wanted, none)):
        cell.driver.apply(cell.paths, resources, previous)
        shown = cell.driver.read_limits(cell.paths, resources)
        assert shown == cell.driver.canonical_limits(resources)


def test_a_quota_in_a_period_of_its_own_is_kept_exactly(cell: Cell) -> None:
    cpu = CpuLimits(quota_us=12_345, period_us=50_000)
    check_live(cell, Resources(cpu=cpu))
    if is_v1(cell, "cpu"):
        directory = Path(cell.paths["cpu"])
        assert (directory / "cpu.cfs_quota_us").read_text() == "12345\n"
        assert (directory / "cpu.cfs_period_us").read_text() == "50000\n"
    else:
        assert content(cell, ("cpu", ""), "cpu.max") == "12345 50000"


def test_a_period_without_a_quota_is_kept(cell: Cell) -> None:
    check_live(cell, Resources(cpu=CpuLimits(period_us=50_000)))


def test_a_burst_goes_with_any_change_of_the_quota(cell: Cell) -> None:
    if canonical.CPU_BURST not in cell.driver.facts().fields:
        pytest.skip("this kernel has no CPU burst")
    check_live(cell, Resources(cpu=CpuLimits(max_milli=500, burst_ns=40_000_000)))
    previous = None
    for milli, burst_ms in ((500, 50), (100, 10), (1000, 100), (10, 1), (500, None), (200, 20)):
        burst = burst_ms and burst_ms * 1_000_000
        wanted = Resources(cpu=CpuLimits(max_milli=milli, burst_ns=burst))
        cell.apply(wanted, previous)
        previous = wanted


def test_a_burst_above_the_quota_is_told_beforehand(driver: CgroupDriver) -> None:
    (found,) = driver.unsupported(Resources(cpu=CpuLimits(max_milli=100, burst_ns=10_001_000)))
    assert (found.field, found.how) == (canonical.CPU_BURST, "ask for at most 10ms")
    (found,) = driver.unsupported(Resources(cpu=CpuLimits(burst_ns=1000)))
    assert found.how == "set resources.cpu.max too"


def test_what_is_idle_has_no_weight_and_gets_it_back(cell: Cell) -> None:
    if canonical.CPU_IDLE not in cell.driver.facts().fields:
        pytest.skip("this kernel has no cpu.idle")
    check_live(cell, Resources(cpu=CpuLimits(idle=True)))
    idle, heavy = CpuLimits(idle=True), CpuLimits(weight=777)
    cell.apply(Resources(cpu=heavy), Resources(cpu=idle))
    cell.apply(Resources(cpu=idle), Resources(cpu=heavy))
    assert content(cell, ("cpu", "cpu.idle"), "cpu.idle") == "1"


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (500, 19), (1024, 39), (262_144, 10_000)])
def test_shares_are_v1s_own_and_on_v2_the_weight_that_oci_maps_them_to(
    cell: Cell, shares: int, weight: int
) -> None:
    check_live(cell, Resources(cpu=CpuLimits(shares=shares)))
    shown = content(cell, ("cpu", "cpu.shares"), "cpu.weight")
    assert int(shown) == (shares if is_v1(cell, "cpu") else weight)


def test_a_reservation_is_v1s_soft_limit_and_v2s_low(cell: Cell) -> None:
    check_live(cell, Resources(memory=MemoryLimits(reservation_bytes=8 * MIB)))
    shown = content(cell, ("memory", "memory.soft_limit_in_bytes"), "memory.low")
    assert int(shown) == 8 * MIB


def test_swappiness_and_the_oom_killer_are_v1s_alone(cell: Cell) -> None:
    resources = Resources(memory=MemoryLimits(swappiness=17, disable_oom_killer=True))
    if is_v1(cell, "memory"):
        check_live(cell, resources)
        assert content(cell, ("memory", "memory.swappiness"), "") == "17"
        assert "oom_kill_disable 1" in content(cell, ("memory", "memory.oom_control"), "")
    else:
        found = cell.driver.unsupported(resources)
        assert [one.how for one in found] == ["leave it out", "leave it out"]


def test_protection_and_group_kills_are_v2s_alone(cell: Cell) -> None:
    memory = MemoryLimits(low_bytes=4 * MIB, min_bytes=2 * MIB, oom_group=True)
    if is_v1(cell, "memory"):
        found = cell.driver.unsupported(Resources(memory=memory))
        names = [canonical.MEMORY_LOW, canonical.MEMORY_MIN, canonical.MEMORY_OOM_GROUP]
        assert [one.field for one in found] == names
    else:
        check_live(cell, Resources(memory=memory))
        directory = Path(cell.paths["unified"])
        assert (directory / "memory.oom.group").read_text() == "1\n"


def test_a_real_time_share_is_what_the_cgroup_above_has_or_refused(cell: Cell) -> None:
    resources = Resources(cpu=CpuLimits(realtime_runtime_us=1000, realtime_period_us=500_000))
    found = cell.driver.unsupported(resources)
    if not is_v1(cell, "cpu"):
        assert {one.reason for one in found} == {"cgroup v2 has no real-time limits"}
        return
    if found:
        pytest.skip(found[0].reason)
    above = Path(cell.paths["cpu"]).parent / "cpu.rt_runtime_us"
    above.parent.mkdir(parents=True, exist_ok=True)
    below = driver_of(cell.driver.mode, f"/{above.parent.name}")
    found = below.unsupported(resources)
    assert [one.reason for one in found] == ["the cgroup above has 0 us in 1000000 us"]
    assert str(above) in found[0].how
    above.write_text("10000")
    assert below.unsupported(resources) == []
    check_live(cell, resources)
    more = Resources(cpu=CpuLimits(realtime_runtime_us=6000, realtime_period_us=500_000))
    assert "10000 us in 1000000" in below.unsupported(more)[0].reason
    longer = Resources(cpu=CpuLimits(realtime_runtime_us=6000, realtime_period_us=5000))
    assert "more than their period" in cell.driver.unsupported(longer)[0].reason


def test_files_of_v2_are_set_and_lifted_or_refused(cell: Cell) -> None:
    files = Resources(unified=(("memory.swap.high", "1M"), ("cgroup.max.depth", "4")))
    if not is_v1(cell, "memory"):
        check_live(cell, files)
        return
    (found,) = cell.driver.unsupported(files)
    assert "memory.swap.high needs cgroup v2" in found.reason
    if "unified" in cell.paths:
        check_live(cell, Resources(unified=(("cgroup.max.depth", "4"),)))
        assert Path(cell.paths["unified"], "cgroup.max.depth").read_text() == "4\n"


def test_files_with_a_field_of_their_own_set_the_field(cell: Cell) -> None:
    if is_v1(cell, "pids"):
        pytest.skip("such files are refused without v2's controllers")
    files = (("pids.max", "77"), ("cpu.max", "5000 20000"), ("memory.high", "64M"))
    wanted = Resources(unified=files, pids=PidsLimits(max=5))
    check_live(cell, wanted)
    shown = cell.driver.read_limits(cell.paths)
    assert (shown[canonical.PIDS_MAX], shown[canonical.CPU_MAX]) == (77, 250)
    assert shown[canonical.MEMORY_HIGH] == 64 * MIB


@pytest.mark.parametrize(
    "name", ["cgroup.procs", "cgroup.freeze", "memory.reclaim", "cpu.pressure", "../x", "memory"]
)
def test_files_that_are_no_limits_are_refused(driver: CgroupDriver, name: str) -> None:
    (found,) = driver.unsupported(Resources(unified=((name, "1"),)))
    assert found.reason == f"{name} is no limit of cgroup v2"


def test_huge_pages_are_limited_where_their_controller_is(cell: Cell) -> None:
    wanted = Resources(hugetlb=(HugetlbLimit(page_size_bytes=2 * MIB, max_bytes=5 * MIB),))
    found = cell.driver.unsupported(wanted)
    if found:
        assert found[0].field == canonical.HUGETLB
        pytest.skip(found[0].reason)
    check_live(cell, wanted)
    assert int(content(cell, ("hugetlb", "hugetlb.2MB.limit_in_bytes"), "hugetlb.2MB.max")) == (
        4 * MIB
    )


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        (Resources(rdma=(RdmaLimit(device="none0", hca_handles=1),)), canonical.RDMA),
        (Resources(net=NetClass(class_id=7, priorities=(("none0", 1),))), canonical.NET_PRIORITIES),
        (
            Resources(hugetlb=(HugetlbLimit(page_size_bytes=3 * MIB, max_bytes=0),)),
            canonical.HUGETLB,
        ),
        (Resources(io=IoLimits(blkio_weight=500)), canonical.IO_WEIGHT),
    ],
)
def test_what_this_host_has_not_is_told_with_a_remedy(
    driver: CgroupDriver, resources: Resources, field: str
) -> None:
    found = {one.field: one for one in driver.unsupported(resources)}
    if field == canonical.IO_WEIGHT and field in driver.facts().fields:
        pytest.skip("this host has weights")
    assert found[field].reason
    assert found[field].how


def test_limits_written_before_one_that_fails_are_put_back(cell: Cell) -> None:
    before = Resources(cpu=CpuLimits(max_milli=300, burst_ns=1_000_000, weight=50))
    cell.apply(before)
    bad = Resources(
        memory=MemoryLimits(max_bytes=64 * MIB),
        cpu=CpuLimits(max_milli=700, idle=True),
        pids=PidsLimits(max=2**22 + 1),
    )
    with pytest.raises(OSError, match=r"pids\.max"):
        cell.driver.apply(cell.paths, bad, before)
    assert cell.driver.read_limits(cell.paths) == cell.driver.canonical_limits(before)


def test_content_that_a_field_cannot_have_is_an_error_with_its_name(driver: CgroupDriver) -> None:
    with pytest.raises(ReconcilerError) as caught:
        driver.unsupported(Resources(unified=(("pids.max", "many"),)))
    assert caught.value.code is ErrorCode.ConfigInvalid
    assert "pids.max" in str(caught.value)


def test_figures_have_what_the_kernel_has(cell: Cell) -> None:
    child = cell.spawn()
    child.run("sum(range(10**6))")
    stats = cell.driver.read_stats(cell.paths)
    assert stats.cpu.usage_ns > 0
    assert sum(row.read_bytes for row in stats.io.devices) == stats.io.read_bytes
    if is_v1(cell, "cpuacct"):
        assert sum(stats.cpu.per_cpu_ns) > 0
    if "unified" in cell.paths and Path(cell.paths["unified"], "cpu.pressure").exists():
        assert "cpu" in stats.pressure
