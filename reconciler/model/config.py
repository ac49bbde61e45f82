"""What a container is made of: the engine's Config, after libcontainer's `configs.Config`.

Built by the loader from a spec (or by a user of the engine), stored in the container's
record, never changed. Units stand in the names: bytes, ns, milli (thousandths of a CPU).
`None` means "not limited" or "the kernel's default" throughout.
"""

from __future__ import annotations

from reconciler.lean import StrEnum
from reconciler.model.frozen import field, frozen
from reconciler.model.isolation import IdMapping, Isolation

NOBODY = "65534:65534"


class MountType(StrEnum):
    """What is mounted; the names are mount(8)'s."""

    BIND = "bind"
    TMPFS = "tmpfs"
    OVERLAY = "overlay"
    PROC = "proc"
    SYSFS = "sysfs"
    DEVPTS = "devpts"
    MQUEUE = "mqueue"
    CGROUP = "cgroup"


class NetworkMode(StrEnum):
    """`none`: a namespace with loopback alone; `host`: the host's network namespace."""

    NONE = "none"
    HOST = "host"


class SeccompMode(StrEnum):
    """`default`: the engine's allow list; `unconfined`: no filter."""

    DEFAULT = "default"
    UNCONFINED = "unconfined"


@frozen
class Rootfs:
    """The root file system: a directory, or the host's own when `path` is None.

    With `overlay` writes go to a layer of the container's own, kept until it is destroyed.
    """

    path: str | None = None
    readonly: bool = True
    overlay: bool = False


@frozen
class Mount:
    """One mount. `options` are mount(8)'s; `size_bytes` and `mode` (octal text) are for tmpfs.

    `lower` (the uppermost first), `upper` and `work` are an overlay's directories; the mappings are
    for a bind mount with the option idmap, the container's own where there are none.
    """

    type: MountType
    target: str
    source: str | None = None
    options: tuple[str, ...] = ()
    size_bytes: int | None = None
    mode: str | None = None
    lower: tuple[str, ...] = ()
    upper: str | None = None
    work: str | None = None
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


@frozen
class MemoryLimits:
    """`max`: hard limit; `high`: throttling starts (cgroup v2 alone); `swap`: swap beyond `max`.

    `low`, `min`: kept from reclaim as far as possible, and in any case; `oom_group`: the OOM killer
    takes all processes or none (these three are cgroup v2's alone).
    `reservation` (v1: soft limit; v2: `low`), `swappiness` 0-100 (v1 alone),
    `disable_oom_killer` (v1 alone).
    """

    max_bytes: int | None = None
    high_bytes: int | None = None
    low_bytes: int | None = None
    min_bytes: int | None = None
    swap_bytes: int | None = None
    oom_group: bool = False
    reservation_bytes: int | None = None
    swappiness: int | None = None
    disable_oom_killer: bool = False


@frozen
class CpuLimits:
    """`max_milli` CPUs at most; `weight` 1-10000 as in cgroup v2; `cpus`/`mems` as in cpuset(7).

    `burst_ns`: unused quota that may be saved up; `idle`: runs only when nothing else would.
    `max_milli` is kept to within each `period_us`; real-time quota and period are v1's alone. For
    engine users: `quota_us` in place of `max_milli`, `shares` 2-262144 as in cgroup v1 in place of
    `weight`.
    """

    max_milli: int | None = None
    burst_ns: int | None = None
    weight: int | None = None
    idle: bool = False
    cpus: str | None = None
    mems: str | None = None
    quota_us: int | None = None
    period_us: int | None = None
    shares: int | None = None
    realtime_runtime_us: int | None = None
    realtime_period_us: int | None = None


@frozen
class PidsLimits:
    """`max` tasks (threads count, as in the kernel)."""

    max: int | None = None


@frozen
class IoDeviceLimits:
    """Throttles per second of a block device, given as path (`/dev/vda`) or `MAJOR:MINOR`."""

    device: str
    read_bytes: int | None = None
    write_bytes: int | None = None
    read_ops: int | None = None
    write_ops: int | None = None


@frozen
class IoDeviceWeight:
    """The weight for a block device, given as path (`/dev/vda`) or `MAJOR:MINOR`."""

    device: str
    weight: int


@frozen
class IoLimits:
    """`weight` 1-10000 as in cgroup v2, `weights` for single devices; throttles per device.

    For engine users: `blkio_weight`, `blkio_weights` 10-1000 as in cgroup v1, in their place.
    """

    weight: int | None = None
    weights: tuple[IoDeviceWeight, ...] = ()
    max: tuple[IoDeviceLimits, ...] = ()
    blkio_weight: int | None = None
    blkio_weights: tuple[IoDeviceWeight, ...] = ()


@frozen
class HugetlbLimit:
    """The most that may be used in huge pages of one size."""

    page_size_bytes: int
    max_bytes: int


@frozen
class RdmaLimit:
    """The most handles and objects of an RDMA device."""

    device: str
    hca_handles: int | None = None
    hca_objects: int | None = None


@frozen
class NetClass:
    """What the network layer knows packets by: class id, priority by interface (v1 alone)."""

    class_id: int | None = None
    priorities: tuple[tuple[str, int], ...] = ()


@frozen
class Resources:
    """All cgroup limits of a container.

    `unified`: files of cgroup v2 without a field of their own, and what is written into them.
    """

    memory: MemoryLimits = MemoryLimits()
    cpu: CpuLimits = CpuLimits()
    pids: PidsLimits = PidsLimits()
    io: IoLimits = IoLimits()
    hugetlb: tuple[HugetlbLimit, ...] = ()
    unified: tuple[tuple[str, str], ...] = ()
    rdma: tuple[RdmaLimit, ...] = ()
    net: NetClass = NetClass()


@frozen
class Security:
    """What the processes may do. `capabilities` are names without `CAP_`, sorted."""

    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = True
    seccomp: SeccompMode = SeccompMode.DEFAULT


@frozen
class Rlimit:
    """One setrlimit(2) resource, `type` as `NOFILE`; None is RLIM_INFINITY."""

    type: str
    soft: int | None
    hard: int | None


@frozen
class LogLimits:
    """How much output is kept: `max_files` files of at most `max_size_bytes` each, or none."""

    is_kept: bool = True
    max_size_bytes: int = 10 * 2**20
    max_files: int = 5


@frozen
class Command:
    """A further process in a running container: what it runs, and what differs from the init's.

    `terminal` is (rows, columns) of a terminal to open for it, None for plain streams. `process`
    has what its process is to be in place of the container's Config, as far as that is about it.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    workdir: str | None = None
    terminal: tuple[int, int] | None = None
    process: Config | None = None


@frozen
class Config:
    """Everything the engine needs to create and start one container.

    `user` is `UID`, `UID:GID`, or names looked up in the rootfs; None means `0:0` with a
    rootfs of one's own and nobody (65534:65534) on the host's, where root could read the
    host's secrets. `groups` are supplementary groups (ids or names).
    """

    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str | None = None
    groups: tuple[str, ...] = ()
    hostname: str | None = None
    rootfs: Rootfs = Rootfs()
    mounts: tuple[Mount, ...] = ()
    network: NetworkMode = NetworkMode.NONE
    resources: Resources = Resources()
    security: Security = Security()
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int | None = None
    logs: LogLimits = LogLimits()
    isolation: Isolation = Isolation()

    def user_or_default(self) -> str:
        """Return `user`, or the safe default for the kind of rootfs."""
        if self.user is not None:
            return self.user
        return NOBODY if self.rootfs.path is None else "0:0"
