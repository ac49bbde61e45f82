"""What the guest is, which the other tests of this directory rely on."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.cgroup.detect import Mode, detect

CONTROLLERS = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids"}


def test_its_only_hierarchy_is_v2_and_has_every_controller() -> None:
    assert detect().mode is Mode.V2
    assert set(Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()) >= CONTROLLERS
    assert Path("/proc/self/cgroup").read_text() == "0::/delegated/leaf\n"


def test_we_are_root() -> None:
    assert os.geteuid() == 0
