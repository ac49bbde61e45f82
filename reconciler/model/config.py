"""What a container is made of: the engine's Config, after libcontainer's `configs.Config`.

Built by the loader from a spec (or by a user of the engine), stored in the container's
record, never changed. Units stand in the names: bytes, ns, milli (thousandths of a CPU).
`None` means "not limited" or "the kernel's default" throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.isolation import Isolation

NOBODY = "65534:65534"


class MountType(StrEnum):
    """What is mounted; the names are mount(8)'s."""

    BIND = "bind"
    TMPFS = "tmpfs"


class NetworkMode(StrEnum):
    """`none`: a namespace with loopback alone; `host`: the host's network namespace."""

    NONE = "none"
    HOST = "host"


class SeccompMode(StrEnum):
    """`default`: the engine's allow list; `unconfined`: no filter."""

    DEFAULT = "default"
    UNCONFINED = "unconfined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rootfs:
    """The root file system: a directory, or the host's own when `path` is None.

    With `overlay` writes go to a layer of the container's own, kept until it is destroyed.
    """

    path: str | None = None
    readonly: bool = True
    overlay: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mount. `options` are mount(8)'s; `size_bytes` and `mode` (octal text) are for tmpfs."""

    type: MountType
    target: str
    source: str | None = None
    options: tuple[str, ...] = ()
    size_bytes: int | None = None
    mode: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimits:
    """`max`: hard limit; `high`: throttling starts (cgroup v2 alone); `swap`: swap beyond `max`."""

    max_bytes: int | None = None
    high_bytes: int | None = None
    swap_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuLimits:
    """`max_milli` CPUs at most; `weight` 1-10000 as in cgroup v2; `cpus`/`mems` as in cpuset(7)."""

    max_milli: int | None = None
    weight: int | None = None
    cpus: str | None = None
    mems: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PidsLimits:
    """`max` tasks (threads count, as in the kernel)."""

    max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IoDeviceLimits:
    """Throttles per second of a block device, given as path (`/dev/vda`) or `MAJOR:MINOR`."""

    device: str
    read_bytes: int | None = None
    write_bytes: int | None = None
    read_ops: int | None = None
    write_ops: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IoLimits:
    """`weight` 1-10000 as in cgroup v2; throttles per device."""

    weight: int | None = None
    max: tuple[IoDeviceLimits, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """All cgroup limits of a container."""

    memory: MemoryLimits = MemoryLimits()
    cpu: CpuLimits = CpuLimits()
    pids: PidsLimits = PidsLimits()
    io: IoLimits = IoLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """What the processes may do. `capabilities` are names without `CAP_`, sorted."""

    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = True
    seccomp: SeccompMode = SeccompMode.DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Rlimit:
    """One setrlimit(2) resource, `type` as `NOFILE`; None is RLIM_INFINITY."""

    type: str
    soft: int | None
    hard: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLimits:
    """How much output is kept: `max_files` files of at most `max_size_bytes` each, or none."""

    is_kept: bool = True
    max_size_bytes: int = 10 * 2**20
    max_files: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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
