"""The mount steps of a container: root file system, standard mounts, the user's, masks.

Called by `setup`. Only host paths are looked at; nothing is changed.
"""

from __future__ import annotations

import os

from reconciler.engine.one_mount import ListedMount, as_listed
from reconciler.engine.own_mounts import FRESH, OF_KERNEL, locked_paths, masked_paths
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any, Mapping
from reconciler.linux.mount import MountAttr, MountFlag, open_in_root
from reconciler.model.config import Config, Mount, MountType
from reconciler.monitor.steps import Step, listed, mounts, root

_KERNEL_FS = MountFlag.NOSUID | MountFlag.NODEV | MountFlag.NOEXEC

_REPLACED = ("/proc", "/sys", "/dev")

# Another /dev could change its /dev/null while paths are masked with it (CVE-2025-31133).
# Elsewhere what is masked and read-only there could be had.
_ONE_PLACE = (MountType.PROC, MountType.SYSFS)
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
    cgroups: Mapping[str, str],
) -> list[Any]:
    """Return the steps from a fresh mount namespace to the finished tree of the container.

    `staging` is a directory to mount the new root on, `overlay_dir` holds the writable layer;
    `cgroups` are the container's directories by hierarchy, for a mount of type cgroup.

    Raises: RootfsNotFound, MountSourceNotFound, ConfigInvalid.
    """
    is_host = config.rootfs.path is None
    parts = [
        ListedMount(index, as_listed(item, is_mapped=False), cgroups, is_v2=mount_cgroup, maps=None)
        for index, item in enumerate(config.mounts)
    ]
    steps: list[Any] = [step for one in parts for step in (*one.opened, *one.created)]
    steps.append(root.DetachPropagation())
    steps += _root_steps(config, staging, overlay_dir)
    if is_host:
        steps.append(root.DetachMounts([*_REPLACED, *(target for target, _ in FRESH)]))
    replaced = {item.target for item in config.mounts if item.type in OF_KERNEL}
    steps += _standard_steps(is_host, mount_cgroup, replaced)
    if is_host:
        steps += [_tmpfs(target, data) for target, data in FRESH if os.path.isdir(target)]
    writable = ["/dev", *(target for target, _ in FRESH)]
    for index, (item, part) in enumerate(zip(config.mounts, parts, strict=True)):
        _check_target(index, item, writable if is_host else ["/"])
        steps += [made for step in part.attached for made in _plainly(step)]
        writable.append(item.target)
    steps += [step for one in parts for step in one.last]
    steps += _protected(config, hidden if is_host else ())
    if config.rootfs.readonly and not is_host:
        steps.append(root.SetRootReadonly())
    return steps


def _protected(config: Config, hidden: tuple[str, ...]) -> list[Any]:
    """Return the steps that mask paths and lock them; `hidden` ones are in any case."""
    return [
        mounts.MaskPaths([*masked_paths(config), *hidden]),
        mounts.ReadonlyPaths([*locked_paths(config)]),
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


def _standard_steps(is_host: bool, mount_cgroup: bool, replaced: set[str]) -> list[Any]:
    """proc, dev, devpts, shm, mqueue, sysfs and cgroup, as config-linux.md asks for.

    But for what is `replaced` by the user's.
    """
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
    return [one for one in steps if not (isinstance(one, fs) and one.target in replaced)]


def _tmpfs(target: str, data: str) -> mounts.MountFs:
    return mounts.MountFs("tmpfs", target, int(MountFlag.NOSUID | MountFlag.NODEV), data)


def _plainly(step: Step) -> list[Any]:
    """Return what does the same as `AttachAt`, without Python in the child, where it can be."""
    if not isinstance(step, listed.AttachAt):
        return [step]
    rest = (step.is_plain, step.copies_up, step.propagation, step.propagation_all, step.takes_mode)
    if any(rest):
        return [step]
    return [
        mounts.MakeTarget(step.target, step.is_directory),
        mounts.AttachTree(step.key, step.target),
    ]


def _check_target(index: int, item: Mount, writable: list[str]) -> None:
    """Refuse a target that is the engine's, or that cannot be made where it is missing.

    `writable` are directories of the container in which mount points can be made.
    """
    target = item.target
    normal = os.path.normpath(target)
    own = OF_KERNEL.get(item.type)
    if normal == own:
        return
    if item.type in _ONE_PLACE:
        raise _bad_target(index, f"a mount of type {item.type} belongs on {own} and nowhere else")
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
