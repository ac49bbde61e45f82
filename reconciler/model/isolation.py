"""What isolation may be beyond a spec file's fields: the rest of the OCI runtime specification.

Part of `Config`. The OCI command line fills it from a config.json; a user of the engine may too.
The defaults are what a spec file gets. Source: runtime-spec 1.3, config.md and config-linux.md.
"""

from __future__ import annotations

from reconciler.lean import StrEnum
from reconciler.model.frozen import field, frozen


class NamespaceMode(StrEnum):
    """A namespace is the container's own, or the host's (the starter's)."""

    PRIVATE = "private"
    HOST = "host"


@frozen
class Namespaces:
    """Each is `private`, `host`, or the path of one to join (/proc/PID/ns/net).

    `network` None: as `Config.network` says.
    """

    pid: str = NamespaceMode.PRIVATE
    mount: str = NamespaceMode.PRIVATE
    uts: str = NamespaceMode.PRIVATE
    ipc: str = NamespaceMode.PRIVATE
    network: str | None = None
    cgroup: str = NamespaceMode.PRIVATE
    user: str = NamespaceMode.HOST
    time: str = NamespaceMode.HOST


@frozen
class IdMapping:
    """`size` ids from `host_id` appear as those from `container_id` (user_namespaces(7))."""

    container_id: int
    host_id: int
    size: int


@frozen
class MountSpec:
    """One mount of an OCI config: as mount(8) has it, option words and all.

    `type` None is a bind mount. `options` are words as in config.json, known ones (flags,
    recursive flags, propagation, tmpcopyup, idmap, copy-symlink) and file system data alike.
    """

    destination: str
    type: str | None = None
    source: str | None = None
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


@frozen
class Capabilities:
    """The five sets of capabilities(7), names without `CAP_`."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


@frozen
class Scheduler:
    """sched_setattr(2): `policy` as SCHED_OTHER, `flags` as SCHED_FLAG_RESET_ON_FORK."""

    policy: str
    nice: int | None = None
    priority: int | None = None
    flags: tuple[str, ...] = ()
    runtime_ns: int | None = None
    deadline_ns: int | None = None
    period_ns: int | None = None


@frozen
class IoPriority:
    """ioprio_set(2): `io_class` as IOPRIO_CLASS_BE, `priority` 0-7."""

    io_class: str
    priority: int = 4


@frozen
class MemoryPolicy:
    """set_mempolicy(2): `mode` as MPOL_BIND, `nodes` as 0-1,3, `flags` as MPOL_F_STATIC_NODES."""

    mode: str
    nodes: str | None = None
    flags: tuple[str, ...] = ()


@frozen
class Device:
    """A device node to make: `type` c, b, u or p; `mode` the permission bits.

    Without a type it is the host's device with that path. With `access` (letters of r, w, m) there
    is a rule that allows it too.
    """

    path: str
    type: str
    major: int = 0
    minor: int = 0
    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    access: str | None = None


@frozen
class DeviceRule:
    """A rule of device access, later ones win: `type` a, b or c; None for any number."""

    allow: bool
    type: str = "a"
    major: int | None = None
    minor: int | None = None
    access: str = "rwm"


@frozen
class Hook:
    """A program of the host, run with the container's state on its standard input."""

    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout_s: float | None = None


@frozen
class Hooks:
    """What runs at which point of a container's life (config.md, POSIX-platform Hooks)."""

    prestart: tuple[Hook, ...] = ()
    create_runtime: tuple[Hook, ...] = ()
    create_container: tuple[Hook, ...] = ()
    start_container: tuple[Hook, ...] = ()
    poststart: tuple[Hook, ...] = ()
    poststop: tuple[Hook, ...] = ()


@frozen
class Isolation:
    """All of it. None: as for a spec file (`Config`'s own field, or the engine's default).

    With `mounts` given only those are made, in their order, on a bare root; with None the
    engine's standard ones and `Config.mounts`. `seccomp` is a profile in the OCI format as JSON
    text; `capabilities`, `masked_paths`, `readonly_paths`, `device_rules` replace the defaults.
    `environment` (NAME=VALUE, in order) replaces `Config.env` and the variables that the engine
    adds. With `maps_rootfs` the root file system's files have the same ids inside as on the host,
    in a user namespace too. `rootfs_propagation` is one of mount(8)'s (shared, slave, private,
    unbindable, r-forms). `net_devices` are moved into the container's network namespace, by their
    name there; who starts the init does that. `cpu_affinity` is that of further processes (first
    and last, as config.md has them), `init_affinity` the init's. `annotations` are
    for hooks, in the state.
    """

    namespaces: Namespaces = Namespaces()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    time_offsets: dict[str, tuple[int, int]] = field(default_factory=dict)
    mounts: tuple[MountSpec, ...] | None = None
    rootfs_propagation: str | None = None
    maps_rootfs: bool = False
    no_pivot: bool = False
    capabilities: Capabilities | None = None
    seccomp: str | None = None
    umask: int | None = None
    scheduler: Scheduler | None = None
    io_priority: IoPriority | None = None
    cpu_affinity: tuple[str | None, str | None] = (None, None)
    init_affinity: str | None = None
    personality: str | None = None
    memory_policy: MemoryPolicy | None = None
    apparmor_profile: str | None = None
    selinux_label: str | None = None
    mount_label: str | None = None
    terminal: tuple[int, int] | None = None
    environment: tuple[str, ...] | None = None
    devices: tuple[Device, ...] = ()
    device_rules: tuple[DeviceRule, ...] | None = None
    sysctl: dict[str, str] = field(default_factory=dict)
    net_devices: dict[str, str] = field(default_factory=dict)
    domainname: str | None = None
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None
    hooks: Hooks = Hooks()
    annotations: dict[str, str] = field(default_factory=dict)
