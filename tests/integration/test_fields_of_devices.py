"""Devices and further limits of a spec, as the container and the kernel see them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.cgroup.driver import CgroupDriver
from tests.integration.spec_files import Reconciler

pytestmark = pytest.mark.requires_root

KMSG = Path("/dev/kmsg")  # a device that no container may use by default


@pytest.mark.skipif(not KMSG.exists(), reason="this host has no /dev/kmsg")
def test_a_device_can_be_used_as_far_as_it_is_allowed(
    engine: Engine, reconciler: Reconciler
) -> None:
    pid = reconciler.applied("devices: [{path: /dev/kmsg, access: w, mode: '0662', gid: 7}]\n")
    shown = reconciler.inside("stat", "-c", "%t:%T %a %g", "/dev/kmsg")
    number = KMSG.stat().st_rdev
    assert shown == f"{os.major(number):x}:{os.minor(number):x} 662 7"
    reconciler.inside("sh", "-c", "exec 3>/dev/kmsg")
    if engine.driver.device_control is not None:
        refused = reconciler("exec", "web", "--", "sh", "-c", "exec 3</dev/kmsg")
        assert refused.returncode != 0
    assert reconciler.inside("sh", "-c", "echo x > /dev/null; echo y") == "y"
    assert Path(f"/proc/{pid}/root/dev/null").is_char_device()


def test_a_device_by_its_numbers_needs_no_node_on_the_host(reconciler: Reconciler) -> None:
    reconciler.applied("devices: [{path: /dev/nil, type: c, major: 1, minor: 3}]\n")
    assert reconciler.inside("sh", "-c", "echo x > /dev/nil; cat /dev/nil; echo y") == "y"


def test_a_device_that_the_host_has_not_is_told_before_the_old_run_ends(
    reconciler: Reconciler,
) -> None:
    pid = reconciler.applied("")
    told = reconciler.refused("devices: [{path: /dev/no-such}]\n")
    assert "the host has no device /dev/no-such" in told
    assert "devices[0].path" in told
    assert reconciler.pid() == pid


LIMITS = {
    "{cpu: {max: 500m, period: 20ms}}": ("cpu", "cpu.cfs_period_us", "20000"),
    "{memory: {swappiness: 7}}": ("memory", "memory.swappiness", "7"),
    "{memory: {reservation: 8Mi}}": ("memory", "memory.soft_limit_in_bytes", str(8 * 2**20)),
    "{net: {classId: 1048577}}": ("net_cls", "net_cls.classid", "1048577"),
    "{net: {priorities: {lo: 5}}}": ("net_prio", "net_prio.ifpriomap", "lo 5"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_of_cgroup_v1_is_in_force_or_refused_with_what_is_missing(
    engine: Engine, reconciler: Reconciler, limit: str
) -> None:
    hierarchy, file, value = LIMITS[limit]
    driver: CgroupDriver = engine.driver
    if hierarchy not in driver.base_paths():
        assert "LimitNotSupported" in reconciler.refused(f"resources: {limit}\n")
        return
    reconciler.applied(f"resources: {limit}\n")
    directory = engine.load("web").record.cgroups[hierarchy]
    assert value in Path(directory, file).read_text().splitlines()
