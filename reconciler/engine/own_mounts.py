"""Which directories of a container are mounts of its own.

Called by the set-up, which makes them, and by control, which looks whether they are there. Cheap to
load: no imports but the model.
"""

from __future__ import annotations

from reconciler.model.config import Config, MountType
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
    before the root is entered), and with a propagation of the root.
    """
    isolation = config.isolation
    return isolation.mounts is None and (
        isolation.namespaces.user != NamespaceMode.HOST
        or isolation.rootfs_propagation is not None
        or bool(isolation.hooks.create_container)
    )
