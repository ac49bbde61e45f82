"""What the kernel itself says of a process: read from /proc and the cgroup file systems.

Owns the only knowledge of cgroup files in these tests, for v1, hybrid and v2 hosts. Called by
the tests and by the instance's clean-up check; never asks the program under test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tests.e2e.waiting import wait_until

T = TypeVar("T")

UNLIMITED_V1_BYTES = 1 << 62  # memory.limit_in_bytes shows a page below 2^63 for "no limit"


def cgroup_mounts() -> dict[str, Path]:
    """Return the mount point of each controller; the key of the unified hierarchy is ''."""
    mounts: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        fs_type, _, options = right.split(" ", 2)
        point = Path(left.split()[4])
        if fs_type == "cgroup2":
            mounts.setdefault("", point)
        elif fs_type == "cgroup":
            for option in options.split(","):
                mounts.setdefault(option, point)
    return mounts


def cgroup_dirs(pid: int) -> dict[str, Path]:
    """Return the directory of the process's cgroup by controller, '' for the unified one."""
    mounts = cgroup_mounts()
    found: dict[str, Path] = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            if controller in mounts:
                found[controller] = mounts[controller] / path.lstrip("/")
    return found


def instance_cgroups(pid: int) -> set[Path]:
    """Return the cgroups that hold all containers of the instance that runs this container."""
    return {path.parent for path in cgroup_dirs(pid).values() if is_ours(path.parent)}


def is_ours(path: Path) -> bool:
    """Tell whether a cgroup is the one that an instance keeps its containers in."""
    return path.name.startswith("reconciler")


def is_unified(controller: str) -> bool:
    """Tell whether the host has this controller on cgroup v2."""
    return controller not in cgroup_mounts()


def limit_file(pid: int, controller: str, *, v1: str, v2: str) -> Path:
    """Return the file of a limit, whichever version the host has."""
    dirs = cgroup_dirs(pid)
    return dirs[controller] / v1 if controller in dirs else dirs[""] / v2


def memory_file(pid: int) -> Path:
    """Return the file that holds the container's hard memory limit."""
    return limit_file(pid, "memory", v1="memory.limit_in_bytes", v2="memory.max")


def memory_max(pid: int) -> int | None:
    """Return the hard memory limit in bytes, None if there is none."""
    text = memory_file(pid).read_text().strip()
    return None if text == "max" or int(text) >= UNLIMITED_V1_BYTES else int(text)


def pids_file(pid: int) -> Path:
    """Return the file that holds the container's limit of tasks."""
    return limit_file(pid, "pids", v1="pids.max", v2="pids.max")


def pids_max(pid: int) -> int | None:
    """Return the most tasks that the container may have, None if unlimited."""
    text = pids_file(pid).read_text().strip()
    return None if text == "max" else int(text)


def cpu_max(pid: int) -> float | None:
    """Return the CPUs that the container may use, None if unlimited."""
    if is_unified("cpu"):
        quota, period = (cgroup_dirs(pid)[""] / "cpu.max").read_text().split()
    else:
        cpu = cgroup_dirs(pid)["cpu"]
        quota = (cpu / "cpu.cfs_quota_us").read_text().strip()
        period = (cpu / "cpu.cfs_period_us").read_text().strip()
    return None if quota in ("max", "-1") else int(quota) / int(period)


def cpuset_cpus(pid: int) -> str:
    """Return the CPUs that the container may run on, as in cpuset(7)."""
    return limit_file(pid, "cpuset", v1="cpuset.cpus", v2="cpuset.cpus").read_text().strip()


def freeze_switch(pid: int) -> tuple[Path, str, str]:
    """Return the freezer's file and what to write to freeze and to thaw."""
    dirs = cgroup_dirs(pid)
    if "" in dirs and (dirs[""] / "cgroup.freeze").exists():
        return dirs[""] / "cgroup.freeze", "1", "0"
    return dirs["freezer"] / "freezer.state", "FROZEN", "THAWED"


def is_frozen(pid: int) -> bool:
    """Tell whether the kernel has frozen the container's cgroup."""
    path, frozen, _ = freeze_switch(pid)
    return path.read_text().strip() == frozen


def freeze(pid: int, is_wanted: bool = True) -> None:
    """Freeze or thaw the container behind the reconciler's back."""
    path, frozen, thawed = freeze_switch(pid)
    path.write_text(frozen if is_wanted else thawed)
    wait_until(lambda: is_frozen(pid) is is_wanted, "the freezer does what it was told")


def proc_status(pid: int) -> dict[str, str]:
    """Return /proc/PID/status by key."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def argv(pid: int) -> list[str]:
    """Return the command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]


def environ(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with."""
    texts = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(text.split("=", 1) for text in texts if "=" in text)


def soft_and_hard(pid: int, label: str) -> list[str]:
    """Return soft and hard limit of a line of /proc/PID/limits."""
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith(label):
            return line[len(label) :].split()[:2]
    raise LookupError(label)


def namespace(pid: int, kind: str) -> str:
    """Return the identity of a namespace of a process."""
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    return if_alive(lambda: proc_status(pid)["State"][0] not in "ZX") or False


def if_alive(read: Callable[[], T]) -> T | None:
    """Return what is read of a process, None if it ended in the meantime."""
    try:
        return read()
    except (FileNotFoundError, ProcessLookupError):
        return None


def processes() -> Iterator[int]:
    """Give the id of every process of the host."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            yield int(entry)


def processes_with(*texts: str) -> list[int]:
    """Return the processes whose command line has all these texts."""
    found = []
    for pid in processes():
        line = " ".join(if_alive(lambda pid=pid: argv(pid)) or [])  # type: ignore[misc]
        if pid != os.getpid() and all(text in line for text in texts):
            found.append(pid)
    return found


def processes_below(cgroups: set[Path]) -> list[int]:
    """Return the processes in these cgroups or in one below."""
    found = []
    for root in cgroups:
        for path in root.rglob("cgroup.procs"):
            found += [int(word) for word in path.read_text().split()]
    return found


def mounts_below(base: Path) -> list[str]:
    """Return the mount points below a directory, as this process sees them."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if line.split()[4].startswith(f"{base}/")]
