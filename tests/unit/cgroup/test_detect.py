"""Which hierarchies there are, from what the kernels of several hosts show."""

from __future__ import annotations

from pathlib import Path

from reconciler.cgroup.detect import Mode, detect

# Debian 12 and later, Fedora 31 and later: v2 alone.
V2_MOUNTS = """\
24 30 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
30 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
"""
V2_OWN = "0::/system.slice/reconciler.service\n"

# RHEL 7, systemd: v1 with co-mounted and named hierarchies.
V1_MOUNTS = """\
25 18 0:21 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:8 - tmpfs tmpfs ro,mode=755
26 25 0:22 / /sys/fs/cgroup/systemd rw,nosuid shared:9 - cgroup cgroup rw,xattr,name=systemd
28 25 0:24 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct
29 25 0:25 / /sys/fs/cgroup/net_cls,net_prio rw shared:11 - cgroup cgroup rw,net_prio,net_cls
30 25 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory
"""
V1_OWN = """\
4:memory:/user.slice
3:net_prio,net_cls:/
2:cpuacct,cpu:/user.slice
1:name=systemd:/user.slice/user-0.slice/session-1.scope
"""

# A container of a v1 host without a cgroup namespace: the mounts show a part of the tree.
CONTAINER_MOUNTS = """\
900 800 0:26 /docker/abc /sys/fs/cgroup/memory ro,nosuid master:12 - cgroup cgroup rw,memory
901 800 0:27 /docker/other /sys/fs/cgroup/pids ro,nosuid master:13 - cgroup cgroup rw,pids
902 800 0:27 /docker/abc /mnt/with\\040space rw - cgroup cgroup rw,pids
"""
CONTAINER_OWN = "2:memory:/docker/abc/init\n1:pids:/docker/abc\n"


def test_a_v2_host_has_the_unified_hierarchy_alone(tmp_path: Path) -> None:
    root = tmp_path / "sys/fs/cgroup"
    root.mkdir(parents=True)
    (root / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma misc\n")
    found = detect(V2_MOUNTS, V2_OWN, str(tmp_path))
    assert found.mode is Mode.V2
    assert found.v1 == {}
    assert found.unified is not None
    assert found.unified.mount_point == str(root)
    assert found.unified.own == f"{root}/system.slice/reconciler.service"
    assert {"memory", "pids"} <= set(found.unified.controllers)


def test_co_mounted_controllers_share_a_hierarchy_and_named_ones_are_none() -> None:
    found = detect(V1_MOUNTS, V1_OWN)
    assert found.mode is Mode.V1
    assert found.unified is None
    assert set(found.v1) == {"cpu", "cpuacct", "net_cls", "net_prio", "memory"}
    assert found.v1["cpu"] == found.v1["cpuacct"]
    assert found.v1["cpu"].own == "/sys/fs/cgroup/cpu,cpuacct/user.slice"
    assert found.v1["net_cls"].own == "/sys/fs/cgroup/net_cls,net_prio"


def test_a_v1_host_with_a_unified_mount_is_hybrid(tmp_path: Path) -> None:
    unified = "27 25 0:23 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
    found = detect(V1_MOUNTS + unified, V1_OWN + "0::/user.slice\n", str(tmp_path))
    assert found.mode is Mode.HYBRID
    assert found.unified is not None
    assert found.unified.own == f"{tmp_path}/sys/fs/cgroup/unified/user.slice"
    assert found.unified.controllers == ()


def test_a_named_hierarchy_alone_beside_the_unified_one_is_v2() -> None:
    named = V1_MOUNTS.splitlines(keepends=True)[1]
    found = detect(named + V2_MOUNTS, "1:name=systemd:/\n0::/\n")
    assert found.mode is Mode.V2
    assert list(found.named) == ["name=systemd"]


def test_a_mount_that_shows_a_part_of_the_tree_is_reckoned_with() -> None:
    found = detect(CONTAINER_MOUNTS, CONTAINER_OWN)
    assert found.v1["memory"].own == "/sys/fs/cgroup/memory/init"
    assert found.v1["pids"].own == "/mnt/with space"


def test_a_cgroup_that_no_mount_shows_has_no_directory() -> None:
    found = detect(CONTAINER_MOUNTS, "2:memory:/docker/abcdef\n1:pids:/../other\n")
    assert found.v1["memory"].own is None
    assert found.v1["pids"].own is None


def test_a_host_without_cgroups_has_none() -> None:
    found = detect("24 30 0:22 / /proc rw - proc proc rw\n", "0::/\n")
    assert (found.mode, found.v1, found.unified) == (Mode.V1, {}, None)


def test_this_host_shows_us_our_own_cgroup() -> None:
    found = detect()
    for hierarchy in [*found.v1.values(), *([found.unified] if found.unified else [])]:
        assert hierarchy.own is not None
        assert Path(hierarchy.own, "cgroup.procs").exists()
