"""The mount steps of a container: root file system, standard mounts, the user's, masks.

Called by `setup`. Only host paths are looked at; nothing is changed.
"""

from __future__ import annotations

import os

from reconciler.engine.own_mounts import FRESH
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any
from reconciler.linux.mount import MountAttr, MountFlag, open_in_root
from reconciler.model.config import Config, Mount, MountType
from reconciler.monitor.steps import mounts, root

_KERNEL_FS = MountFlag.NOSUID | MountFlag.NODEV | MountFlag.NOEXEC

_REPLACED = ("/proc", "/sys", "/dev")

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

_OPTION_FLAGS: dict[str, tuple[MountAttr, bool]] = {
    "ro": (MountAttr.RDONLY, True),
    "rw": (MountAttr.RDONLY, False),
    "nosuid": (MountAttr.NOSUID, True),
    "suid": (MountAttr.NOSUID, False),
    "nodev": (MountAttr.NODEV, True),
    "dev": (MountAttr.NODEV, False),
    "noexec": (MountAttr.NOEXEC, True),
    "exec": (MountAttr.NOEXEC, False),
    "noatime": (MountAttr.NOATIME, True),
    "relatime": (MountAttr.NOATIME, False),
}
# Another /dev could change its /dev/null while paths are masked with it (CVE-2025-31133).
_FORBIDDEN_TARGETS = ("/", "/proc", "/sys", "/dev", "/dev/null", "/dev/pts")


def find_root(config: Config) -> str:
    """Return the host directory that becomes `/`. Raises: RootfsNotFound."""
    path = config.rootfs.path or "/"
    if not os.path.isdir(path):
        what = "is not a directory" if os.path.exists(path) else "does not exist"
        raise ReconcilerError(
            ErrorCode.RootfsNotFound,
            f"the root file system {path} {what}",
            path=path,
            field="rootfs.path",
        )
    return path


def make_mount_steps(
    config: Config,
    *,
    staging: str,
    overlay_dir: str,
    hidden: tuple[str, ...],
    mount_cgroup: bool,
) -> list[Any]:
    """Return the steps from a fresh mount namespace to the finished tree of the container.

    `staging` is a directory to mount the new root on, `overlay_dir` holds the writable layer.

    Raises: RootfsNotFound, MountSourceNotFound, ConfigInvalid.
    """
    is_host = config.rootfs.path is None
    steps: list[Any] = [root.DetachPropagation()]
    steps += _root_steps(config, staging, overlay_dir)
    sources = [_source_step(index, item) for index, item in enumerate(config.mounts)]
    steps[1:1] = [step for step in sources if step is not None]
    if is_host:
        steps.append(root.DetachMounts([*_REPLACED, *(target for target, _ in FRESH)]))
    steps += _standard_steps(is_host, mount_cgroup)
    if is_host:
        steps += [_tmpfs(target, data) for target, data in FRESH if os.path.isdir(target)]
    writable = ["/dev", *(target for target, _ in FRESH)]
    for index, item in enumerate(config.mounts):
        _check_target(index, item.target, writable if is_host else ["/"])
        steps += _user_mount_steps(index, item)
        writable.append(item.target)
    steps += _protected(config, hidden if is_host else ())
    if config.rootfs.readonly and not is_host:
        steps.append(root.SetRootReadonly())
    return steps


def _protected(config: Config, hidden: tuple[str, ...]) -> list[Any]:
    """Return the steps that mask paths and lock them; `hidden` ones are in any case."""
    masked, locked = config.isolation.masked_paths, config.isolation.readonly_paths
    return [
        mounts.MaskPaths([*(MASKED_PATHS if masked is None else masked), *hidden]),
        mounts.ReadonlyPaths(list(READONLY_PATHS if locked is None else locked)),
    ]


def _root_steps(config: Config, staging: str, overlay_dir: str) -> list[Any]:
    rootfs = config.rootfs
    path = find_root(config)
    if rootfs.overlay:
        upper, work = os.path.join(overlay_dir, "upper"), os.path.join(overlay_dir, "work")
        return [root.MountOverlay(path, upper, work, staging), root.EnterRoot(None, staging)]
    attributes = MountAttr.NODEV
    is_host = rootfs.path is None
    if rootfs.readonly:
        attributes |= MountAttr.RDONLY
    steps: list[Any] = [root.CloneTree("root", path, True, int(attributes), 0)]
    if rootfs.readonly and not is_host:
        steps.append(root.SetTopWritable("root"))  # until the mount points are there
    return [*steps, root.EnterRoot("root", staging)]


def _standard_steps(is_host: bool, mount_cgroup: bool) -> list[Any]:
    """proc, dev, devpts, shm, mqueue, sysfs and cgroup, as config-linux.md asks for."""
    fs = mounts.MountFs
    targets = [] if is_host else [mounts.MakeTarget(p, True) for p in ("/proc", "/dev", "/sys")]
    dev_flags = MountFlag.NOSUID | MountFlag.NOEXEC
    steps = [
        *targets,
        fs("proc", "/proc", int(_KERNEL_FS), None),
        fs("tmpfs", "/dev", int(dev_flags), "mode=755,size=64k"),
        mounts.MakeDevices(),
        fs("devpts", "/dev/pts", int(dev_flags), "newinstance,ptmxmode=0666,mode=0620,gid=5"),
        fs("tmpfs", "/dev/shm", int(_KERNEL_FS), "mode=1777,size=64m"),
        fs("mqueue", "/dev/mqueue", int(_KERNEL_FS), None),
        fs("sysfs", "/sys", int(_KERNEL_FS | MountFlag.RDONLY), None),
    ]
    if mount_cgroup:
        steps.append(fs("cgroup2", "/sys/fs/cgroup", int(_KERNEL_FS | MountFlag.RDONLY), None))
    return steps


def _tmpfs(target: str, data: str) -> mounts.MountFs:
    return mounts.MountFs("tmpfs", target, int(MountFlag.NOSUID | MountFlag.NODEV), data)


def _source_step(index: int, item: Mount) -> root.CloneTree | None:
    """Return the step that opens a bind mount's source on the host."""
    if item.type is not MountType.BIND:
        return None
    assert item.source is not None
    if not os.path.exists(item.source):
        raise ReconcilerError(
            ErrorCode.MountSourceNotFound,
            f"the mount source {item.source} does not exist; make it or correct mounts[{index}]",
            path=item.source,
            field=f"mounts[{index}].source",
        )
    add, clear = _attributes(item.options, MountAttr.NOSUID | MountAttr.NODEV)
    recursive = "bind" not in item.options
    return root.CloneTree(f"mount{index}", item.source, recursive, add, clear)


def _user_mount_steps(index: int, item: Mount) -> list[Any]:
    is_directory = item.type is MountType.TMPFS or os.path.isdir(item.source or "")
    steps: list[Any] = [mounts.MakeTarget(item.target, is_directory)]
    if item.type is MountType.BIND:
        return [*steps, mounts.AttachTree(f"mount{index}", item.target)]
    data = f"mode={item.mode or '1777'}"
    if item.size_bytes is not None:
        data += f",size={item.size_bytes}"
    add, _ = _attributes(item.options, MountAttr.NOSUID | MountAttr.NODEV)
    flags = MountFlag(add & 0xF)  # RDONLY to NOEXEC have the same bits in both interfaces
    if add & MountAttr.NOATIME:
        flags |= MountFlag.NOATIME
    return [*steps, mounts.MountFs("tmpfs", item.target, int(flags), data)]


def _attributes(options: tuple[str, ...], default: MountAttr) -> tuple[int, int]:
    """Return (set, clear) of mount(8) options over the safe default; the later one wins."""
    add, clear = default, MountAttr(0)
    for option in options:
        if option in _OPTION_FLAGS:
            flag, is_set = _OPTION_FLAGS[option]
            add, clear = (add | flag, clear & ~flag) if is_set else (add & ~flag, clear | flag)
    return int(add), int(clear)


def _check_target(index: int, target: str, writable: list[str]) -> None:
    """Refuse a target that is the engine's, or that cannot be made where it is missing.

    `writable` are directories of the container in which mount points can be made.
    """
    normal = os.path.normpath(target)
    if normal in _FORBIDDEN_TARGETS or normal.startswith(("/proc/", "/sys/")):
        raise _bad_target(index, f"nothing can be mounted on {target}: it belongs to the engine")
    if any(f"{normal}/".startswith(f"{parent.rstrip('/')}/") for parent in writable):
        return
    if mode_in_root("/", normal) is None:
        raise _bad_target(
            index,
            f"the mount target {target} does not exist on the host, whose read-only file system is "
            f"the container's root: make it (mkdir -p {target}), choose one below /run or /tmp, "
            "or give the container a root of its own (rootfs.path)",
        )


def mode_in_root(root: str, path: str) -> int | None:
    """Return st_mode of a path inside the directory `root`, None when it does not exist there."""
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in_root(root_fd, path, os.O_PATH)
    except OSError:
        return None
    finally:
        os.close(root_fd)
    try:
        return os.fstat(fd).st_mode
    finally:
        os.close(fd)


def _bad_target(index: int, message: str) -> ReconcilerError:
    return ReconcilerError(ErrorCode.ConfigInvalid, message, field=f"mounts[{index}].target")
