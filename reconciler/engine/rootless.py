"""What a Config becomes for an ordinary user: a user namespace of its own, and what works in one.

Called by the Engine before it plans a start or a further process. The record keeps the Config as
it was given. Sources: user_namespaces(7), subuid(5), config.md of the runtime specification.

Root inside is the user outside. Where newuidmap and newgidmap are installed and /etc/subuid and
/etc/subgid give the user a range, the ids from 1 on are those; else there is only 0.
"""

from __future__ import annotations

import os

from reconciler.engine.one_mount import as_listed
from reconciler.engine.own_mounts import FRESH, OF_KERNEL, locked_paths, masked_paths
from reconciler.lean import Any, Sequence
from reconciler.model.config import Config
from reconciler.model.frozen import replace
from reconciler.model.isolation import IdMapping, MountSpec, NamespaceMode

_KERNEL = ("nosuid", "nodev", "noexec")
HELPERS = {"/etc/subuid": "newuidmap", "/etc/subgid": "newgidmap"}
_PLACES = ("/usr/bin", "/bin", "/usr/local/bin")


def is_rootless() -> bool:
    """Tell whether the caller is an ordinary user."""
    return os.geteuid() != 0


def adapt(config: Config, hidden: Sequence[str]) -> Config:
    """Return what can be started for the calling user.

    A Config with a user namespace of its own has only its mounts listed.

    `hidden` are directories of the host that no container may see.
    """
    isolation = config.isolation
    if isolation.namespaces.user != NamespaceMode.HOST:
        return list_mounts(config, hidden)
    uids = own_mappings("/etc/subuid", os.geteuid())
    gids = own_mappings("/etc/subgid", os.getegid())
    changes: dict[str, Any] = {
        "namespaces": replace(isolation.namespaces, user=NamespaceMode.PRIVATE),
        "uid_mappings": uids,
        "gid_mappings": gids,
    }
    user = config.user_or_default()
    if config.user is None and not _is_mapped(user, uids):
        user = "0:0"  # nobody is nobody's here
    config = replace(config, user=user, isolation=replace(isolation, **changes))
    return list_mounts(config, hidden)


def list_mounts(config: Config, hidden: Sequence[str], *, is_v2: bool = False) -> Config:
    """Return a Config with its mounts listed, as a user namespace needs it, the engine's own too.

    `hidden` are directories of the host that no container may see.
    """
    isolation = config.isolation
    if isolation.mounts is not None:
        return config
    is_mapped = isolation.namespaces.user != NamespaceMode.HOST
    has_tty_group = not is_mapped or _is_mapped("5", isolation.gid_mappings)
    listed = replace(
        isolation,
        mounts=_standard_mounts(config, has_tty_group=has_tty_group, is_v2=is_v2),
        masked_paths=(*masked_paths(config), *(hidden if config.rootfs.path is None else ())),
        readonly_paths=locked_paths(config),
        maps_rootfs=config.rootfs.path is not None and not is_rootless(),
    )
    return replace(config, isolation=listed)


def _is_mapped(user: str, mappings: tuple[IdMapping, ...]) -> bool:
    uid = int(user.partition(":")[0])
    return any(one.container_id <= uid < one.container_id + one.size for one in mappings)


def own_mappings(table: str, own: int) -> tuple[IdMapping, ...]:
    """Return the mappings of a user: root to itself, and the range that `table` gives, if any."""
    root = IdMapping(container_id=0, host_id=own, size=1)
    found = granted(table)
    if found is None or not has_helper(HELPERS[table]):
        return (root,)
    return (root, IdMapping(container_id=1, host_id=found[0], size=found[1]))


def granted(table: str) -> tuple[int, int] | None:
    """Return (first, count) of the caller's first range; both tables go by the user (subuid(5))."""
    import pwd

    uid = os.geteuid()
    try:
        names = {str(uid), pwd.getpwuid(uid).pw_name}
    except KeyError:
        names = {str(uid)}
    try:
        with open(table, encoding="utf-8", errors="replace") as lines:
            rows = [line.strip().split(":") for line in lines]
    except OSError:
        return None
    for row in rows:
        if len(row) == 3 and row[0] in names and row[1].isdecimal() and row[2].isdecimal():
            return int(row[1]), int(row[2])
    return None


def has_helper(name: str) -> bool:
    """Tell whether a program of the package uidmap is installed."""
    return any(os.access(f"{place}/{name}", os.X_OK) for place in _PLACES)


def _system_mounts(config: Config, *, is_v2: bool) -> Sequence[MountSpec]:
    """Return sysfs, which in a user namespace would need one that hides nothing, and cgroup2."""
    if config.isolation.namespaces.user != NamespaceMode.HOST:
        options = ("rbind", "rro", *_KERNEL)
        return (MountSpec(destination="/sys", type="bind", source="/sys", options=options),)
    own = MountSpec(destination="/sys", type="sysfs", source="sysfs", options=(*_KERNEL, "ro"))
    cgroup = MountSpec(
        destination="/sys/fs/cgroup", type="cgroup", source="cgroup", options=(*_KERNEL, "ro")
    )
    return (own, cgroup) if is_v2 else (own,)


def _standard_mounts(config: Config, *, has_tty_group: bool, is_v2: bool) -> tuple[MountSpec, ...]:
    """Return the engine's own mounts and the Config's, as a list."""
    terminal = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")
    mounts = [
        MountSpec(destination="/proc", type="proc", source="proc", options=_KERNEL),
        MountSpec(
            destination="/dev",
            type="tmpfs",
            source="tmpfs",
            options=("nosuid", "noexec", "mode=755", "size=64k"),
        ),
        MountSpec(
            destination="/dev/pts",
            type="devpts",
            source="devpts",
            options=(*terminal, "gid=5") if has_tty_group else terminal,
        ),
        MountSpec(
            destination="/dev/shm",
            type="tmpfs",
            source="shm",
            options=(*_KERNEL, "mode=1777", "size=64m"),
        ),
        MountSpec(destination="/dev/mqueue", type="mqueue", source="mqueue", options=_KERNEL),
        *_system_mounts(config, is_v2=is_v2),
    ]
    if config.rootfs.path is None:
        mounts += [
            MountSpec(
                destination=target, type="tmpfs", source="tmpfs", options=("nosuid", "nodev", data)
            )
            for target, data in FRESH
            if os.path.isdir(target)
        ]
    is_mapped = config.isolation.namespaces.user != NamespaceMode.HOST
    own = [
        as_listed(one, is_mapped=is_mapped, has_tty_group=has_tty_group) for one in config.mounts
    ]
    replaced = {one.target for one in config.mounts if one.type in OF_KERNEL}
    return (*(one for one in mounts if one.destination not in replaced), *own)
