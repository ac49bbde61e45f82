"""An instance on small disks of its own, and strangers whom nothing of all this may touch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, discard, make_instance
from tests.e2e.waiting import wait_until

DISK_MIB = 24


@pytest.fixture
def reconciler() -> Iterator[Instance]:
    """Give an instance whose run and state directories are disks of their own.

    Afterwards nothing of it may be left: containers, cgroups, mounts, the monitor.
    """
    instance = make_instance()
    disks = (instance.run_dir, instance.state_dir)
    for disk in disks:
        disk.mkdir(mode=0o700)
        _mount_tmpfs(disk)
    try:
        yield instance
        instance.items()
        instance.run("destroy", "--all")
        wait_until(instance.has_vanished, "the monitor and its cgroups go")
    finally:
        for disk in disks:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
        discard(instance)


def _mount_tmpfs(point: Path) -> None:
    options = f"size={DISK_MIB}m,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)], check=True)


@pytest.fixture
def bystanders() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Give processes that are none of the reconciler's; all must be as they were afterwards."""
    processes = [subprocess.Popen(["/bin/sleep", "1000"]) for _ in range(3)]
    before = [_looks(process) for process in processes]
    yield processes
    assert [_looks(process) for process in processes] == before
    for process in processes:
        assert process.poll() is None
        process.kill()
        process.wait()


def _looks(process: subprocess.Popen[bytes]) -> list[str]:
    """Return what somebody could change of a process."""
    names = ("cgroup", "limits", "oom_score_adj")
    namespaces = [os.readlink(f"/proc/{process.pid}/ns/{kind}") for kind in ("mnt", "uts", "pid")]
    return [Path(f"/proc/{process.pid}/{name}").read_text() for name in names] + namespaces
