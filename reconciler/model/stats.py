"""What a container uses: the figures of its cgroup, as the kernel shows them."""

from __future__ import annotations

from reconciler.model.frozen import field, frozen


@frozen
class MemoryStats:
    """Bytes; `limit_bytes` None is unlimited. Counts are since the cgroup was made.

    `limit_hits`: how often usage ran against the limit; `kernel_bytes` is part of usage.
    """

    usage_bytes: int = 0
    peak_bytes: int | None = None
    limit_bytes: int | None = None
    swap_bytes: int | None = None
    anon_bytes: int | None = None
    file_bytes: int | None = None
    kernel_bytes: int | None = None
    limit_hits: int = 0
    oom_kills: int = 0


@frozen
class CpuStats:
    """Nanoseconds of CPU time; throttling and burst figures from the quota.

    `per_cpu_ns` has each CPU's part (v1 alone).
    """

    usage_ns: int = 0
    user_ns: int | None = None
    system_ns: int | None = None
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0
    bursts: int = 0
    burst_ns: int = 0
    per_cpu_ns: tuple[int, ...] = ()


@frozen
class PidsStats:
    """Tasks now, and the limit (None is unlimited)."""

    current: int = 0
    limit: int | None = None


@frozen
class IoDeviceStats:
    """Bytes and operations of one block device, `MAJOR:MINOR`."""

    device: str
    read_bytes: int = 0
    write_bytes: int = 0
    read_ops: int = 0
    write_ops: int = 0


@frozen
class IoStats:
    """Bytes and operations of all devices together, and of each."""

    read_bytes: int = 0
    write_bytes: int = 0
    read_ops: int = 0
    write_ops: int = 0
    devices: tuple[IoDeviceStats, ...] = ()


@frozen
class HugetlbStats:
    """Use of huge pages of one size: now, at most (v1 alone), and how often it was refused."""

    page_size_bytes: int
    usage_bytes: int = 0
    peak_bytes: int | None = None
    limit_hits: int = 0


@frozen
class RdmaStats:
    """Handles and objects of one RDMA device in use."""

    device: str
    hca_handles: int = 0
    hca_objects: int = 0


@frozen
class Pressure:
    """Time lost by waiting (PSI): per cent over 10, 60, 300 s, and in sum, for `some` and `full`.

    Source: kernel accounting/psi.rst.
    """

    some: tuple[float, float, float] = (0.0, 0.0, 0.0)
    some_ns: int = 0
    full: tuple[float, float, float] = (0.0, 0.0, 0.0)
    full_ns: int = 0


@frozen
class Stats:
    """The cgroup's figures at one moment; `at` is wall-clock seconds.

    `pressure` is by resource: cpu, memory, io, where the kernel tells it (cgroup v2).
    """

    at: float
    memory: MemoryStats = MemoryStats()
    cpu: CpuStats = CpuStats()
    pids: PidsStats = PidsStats()
    io: IoStats = IoStats()
    hugetlb: tuple[HugetlbStats, ...] = ()
    rdma: tuple[RdmaStats, ...] = ()
    pressure: dict[str, Pressure] = field(default_factory=dict)
