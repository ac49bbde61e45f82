"""Which fields of a spec `drift.fields` and `enforcement` may speak of, by path.

Used by the loader to check specs; tests hold it equal to planning's table of fields.
"""

from __future__ import annotations

_LIMITS = (
    "resources.memory.max",
    "resources.memory.high",
    "resources.memory.low",
    "resources.memory.min",
    "resources.memory.oomGroup",
    "resources.memory.swap",
    "resources.memory.reservation",
    "resources.memory.swappiness",
    "resources.memory.disableOomKiller",
    "resources.cpu.max",
    "resources.cpu.period",
    "resources.cpu.burst",
    "resources.cpu.idle",
    "resources.cpu.weight",
    "resources.cpu.realtimeRuntime",
    "resources.cpu.realtimePeriod",
    "resources.cpu.cpus",
    "resources.cpu.mems",
    "resources.pids.max",
    "resources.io.weight",
    "resources.io.weights",
    "resources.io.max",
    "resources.hugetlb",
    "resources.rdma",
    "resources.net.classId",
    "resources.net.priorities",
    "resources.unified",
)

OBSERVED = (
    *_LIMITS,
    "state",
    "user",
    "hostname",
    "security.capabilities",
    "security.noNewPrivileges",
    "security.seccomp",
    "rlimits",
    "oomScoreAdj",
    "groups",
    "network",
    "domainname",
    *(f"namespaces.{name}" for name in ("pid", "ipc", "uts", "cgroup", "user", "network", "time")),
    "uidMappings",
    "gidMappings",
    "sysctl",
    "scheduler",
    "ioPriority",
    "mounts",
    "maskedPaths",
    "readonlyPaths",
    "rootfs.readonly",
    "security.apparmorProfile",
    "security.selinuxLabel",
)
"""What the kernel shows of a container that runs, so that it can differ behind our back."""

ENFORCED = (
    *(*_LIMITS, "rlimits", "oomScoreAdj", "security.seccomp"),
    *("security.apparmorProfile", "security.selinuxLabel", "cpuAffinity.init", "cpuAffinity.exec"),
    *("memoryPolicy", "scheduler", "ioPriority", "sysctl", "namespaces.time"),
)
"""What a host may be unable to enforce."""


UNIFIED_FIELDS = {
    "memory.max": "resources.memory.max",
    "memory.high": "resources.memory.high",
    "memory.low": "resources.memory.low",
    "memory.min": "resources.memory.min",
    "memory.swap.max": "resources.memory.swap",
    "memory.oom.group": "resources.memory.oomGroup",
    "cpu.max": "resources.cpu.max",
    "cpu.max.burst": "resources.cpu.burst",
    "cpu.weight": "resources.cpu.weight",
    "cpu.idle": "resources.cpu.idle",
    "cpuset.cpus": "resources.cpu.cpus",
    "cpuset.mems": "resources.cpu.mems",
    "pids.max": "resources.pids.max",
    "io.max": "resources.io.max",
    "io.weight": "resources.io.weight",
    "io.bfq.weight": "resources.io.weight",
}
"""Files of cgroup v2 that `resources.unified` may not name, as they have a field."""


def is_known(path: str, known: tuple[str, ...]) -> bool:
    """Tell whether `path` is one of `known`, a part of one (`rlimits.nofile`) or holds some."""
    return any(f"{path}.".startswith(f"{one}.") or one.startswith(f"{path}.") for one in known)
