"""Which directories of a container are mounts of its own.

Called by the set-up, which makes them, and by control, which looks whether they are there. Cheap to
load: no imports but the model.
"""

from __future__ import annotations

from reconciler.model.config import Config, Mount, MountType
from reconciler.model.isolation import NamespaceMode

# What is private even on the host's root: sockets of host services live there.
FRESH = (("/run", "mode=755"), ("/tmp", "mode=1777"), ("/var/tmp", "mode=1777"))

# Types of file systems that the kernel gives; where a spec lists one, it replaces the engine's own.
OF_KERNEL = {
    MountType.PROC: "/proc",
    MountType.SYSFS: "/sys",
    MountType.DEVPTS: "/dev/pts",
    MountType.MQUEUE: "/dev/mqueue",
    MountType.CGROUP: "/sys/fs/cgroup",
}

# What runc and podman hide, and what came to light since (thermal side channels: CVE-2024-21626's
# neighbours /proc/interrupts and thermal_throttle, moby GHSA-6fw5-f8r9-fgfm).
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_WORDS = {
    **{word: (word, True) for word in ("ro", "nosuid", "nodev", "noexec")},
    "rw": ("ro", False),
    "suid": ("nosuid", False),
    "dev": ("nodev", False),
    "exec": ("noexec", False),
}
_OF_DEV = ("/dev/pts", "/dev/shm", "/dev/mqueue")


def covered_paths(config: Config) -> list[str]:
    """Return the container's directories that are not the root file system's own."""
    own = ["/proc", "/sys", "/dev", *(item.target for item in config.mounts)]
    return own if config.rootfs.path is not None else [*own, *(path for path, _ in FRESH)]


def mount_points(config: Config) -> list[str]:
    """Return where a container has something mounted, as it names them."""
    return [*covered_paths(config), *_OF_DEV]


def needs_list(config: Config) -> bool:
    """Tell whether its mounts are to be listed one by one: most containers of root's need not.

    So it is in a user namespace, with createContainer hooks (which come when all mounts are there,
    before the root is entered), with devices, and with a root that is shared or
    is not pivoted into.
    """
    isolation = config.isolation
    return isolation.mounts is None and (
        isolation.namespaces.user != NamespaceMode.HOST
        or isolation.rootfs_propagation is not None
        or bool(isolation.hooks.create_container)
        or bool(isolation.devices)
        or isolation.no_pivot
    )


def masked_paths(config: Config) -> tuple[str, ...]:
    """Return what of /proc and /sys is hidden."""
    masked = config.isolation.masked_paths
    return MASKED_PATHS if masked is None else masked


def locked_paths(config: Config) -> tuple[str, ...]:
    """Return what cannot be written whatever its mode says."""
    locked = config.isolation.readonly_paths
    return READONLY_PATHS if locked is None else locked


def option_words(mount: Mount) -> dict[str, bool]:
    """Return which of `ro`, `nosuid`, `nodev` and `noexec` a mount is to have, and which not.

    What is in neither is as its source has it; nothing is told of file systems of the kernel's.
    """
    if mount.type in OF_KERNEL or "remount" in mount.options:
        return {}
    words = {"nosuid": True, "nodev": True}
    if mount.type is MountType.TMPFS:
        words |= {"ro": False, "noexec": False}
    for option in mount.options:
        name = option if option in _WORDS else option.removeprefix("r")  # for the tree below too
        if name in _WORDS:
            word, is_set = _WORDS[name]
            words[word] = is_set
    return words
