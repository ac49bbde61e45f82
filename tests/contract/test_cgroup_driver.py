"""What every cgroup driver keeps, on the real kernel: places, limits, what is unsupported."""

from __future__ import annotations

import contextlib
import os
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
from tests.contract.cgroup_cell import MIB, Cell, driver_of

pytestmark = pytest.mark.requires_root


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


def test_a_clone_goes_into_the_unified_cgroup_and_joins_the_others(cell: Cell) -> None:
    unified = cell.paths.get("unified")
    assert cell.driver.clone_dir(cell.paths) == unified
    joins = cell.driver.join_files(cell.paths)
    assert len(joins) == len(set(joins)) == len(set(cell.paths.values()) - {unified})
    assert set(cell.driver.join_files(cell.paths, with_unified=True)) == {
        f"{path}/{'cgroup.procs' if path == unified else 'tasks'}" for path in cell.paths.values()
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
