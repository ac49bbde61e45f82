"""Chooses the driver for this host: `choose_driver` is the way into the cgroup layer."""

from __future__ import annotations

import os

from reconciler.cgroup.common import TableDriver
from reconciler.cgroup.core import UNIFIED
from reconciler.cgroup.detect import Hierarchies, detect
from reconciler.cgroup.driver import CgroupDriver, Controller
from reconciler.errors import ReconcilerError


def choose_driver(
    parent: str | None = None,
    *,
    mountinfo: str | None = None,
    self_cgroup: str | None = None,
    mount_root: str = "",
) -> CgroupDriver:
    """Return the driver for this host, containers going below the caller's own cgroup.

    For an ordinary user to whom none is delegated it is one without cgroups. `parent` overrides
    where (`--cgroup-parent`, a cgroup path such as /foo). The others are as in `detect.detect`.

    Raises: OSError with the path.
    """
    hierarchies = detect(mountinfo, self_cgroup, mount_root)
    driver = TableDriver(hierarchies, _make_table, parent)
    if os.geteuid() == 0 or parent is not None:
        return driver
    try:
        driver.base_paths()
    except ReconcilerError as error:
        from reconciler.cgroup.none import NoCgroups

        cause = str(error).partition(": ")[2]
        reason = f"no cgroup is delegated to uid {os.geteuid()} ({cause})"
        return NoCgroups(hierarchies.mode, reason)
    return driver


def _make_table(hierarchies: Hierarchies) -> list[tuple[Controller, str]]:
    return _v1_table(hierarchies) + _v2_table(hierarchies)


def _v1_table(hierarchies: Hierarchies) -> list[tuple[Controller, str]]:
    """Return the v1 controllers that are mounted; each one's name is its hierarchy's key."""
    if not hierarchies.v1:
        return []
    from reconciler.cgroup import rdma
    from reconciler.cgroup.hugetlb import Hugetlb
    from reconciler.cgroup.v1 import blkio, cpu, cpuacct, cpuset, memory, net_cls, net_prio, pids

    known: tuple[Controller, ...] = (
        *(memory, cpu, cpuacct, cpuset, pids, blkio),
        *(Hugetlb(is_v1=True), rdma, net_cls, net_prio),
    )
    return [(one, one.NAME) for one in known if one.NAME in hierarchies.v1]


def _v2_table(hierarchies: Hierarchies) -> list[tuple[Controller, str]]:
    """Return the controllers of the unified hierarchy, on a hybrid host those not in v1."""
    if hierarchies.unified is None:
        return []
    from reconciler.cgroup import rdma
    from reconciler.cgroup.hugetlb import Hugetlb
    from reconciler.cgroup.v2 import cpu, cpuset, io, memory, pids, unified

    known: tuple[Controller, ...] = (
        *(memory, cpu, cpuset, pids, io),
        *(Hugetlb(is_v1=False), rdma, unified),
    )
    offered = (*hierarchies.unified.controllers, unified.NAME)
    return [(one, UNIFIED) for one in known if one.NAME in offered]
