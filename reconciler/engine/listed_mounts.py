"""The mount steps of a container whose mounts are listed one by one: `Isolation.mounts`.

Called by `setup` in place of `setup_mounts`. On a bare root there is what the list says, in its
order, and the device nodes that every container has. Only host paths are looked at; nothing is
changed. Source: runtime-spec config.md (Mounts), config-linux.md (Default Filesystems).
"""

from __future__ import annotations

import os

from reconciler.engine.device_nodes import device_steps
from reconciler.engine.namespaces import mode_of
from reconciler.engine.one_mount import ListedMount
from reconciler.engine.setup_mounts import find_root
from reconciler.engine.setup_namespaces import (
    first_ids,
    has_user_namespace,
    host_ids,
    known_maps,
)
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any, Mapping
from reconciler.linux.mount import MountAttr, MountFlag
from reconciler.model.config import Config
from reconciler.model.isolation import NamespaceMode
from reconciler.monitor.steps import attributes, listed, mounts, root

_RDONLY = int(MountAttr.RDONLY)
_PROPAGATIONS = {
    "shared": MountFlag.SHARED,
    "slave": MountFlag.SLAVE,
    "private": MountFlag.PRIVATE,
    "unbindable": MountFlag.UNBINDABLE,
}


def make_listed_steps(
    config: Config, parameters: list[Any], *, staging: str, cgroups: Mapping[str, str], is_v2: bool
) -> list[Any]:
    """Return the steps from a fresh mount namespace to the finished tree of the container.

    What `make_host_steps` opens is there by then. `parameters` are steps for the namespaces'
    root; `cgroups` are the container's directories by hierarchy, for a mount of type cgroup.

    Raises: RootfsNotFound, MountSourceNotFound, ConfigInvalid, NotSupported.
    """
    isolation = config.isolation
    parts = [
        ListedMount(index, item, cgroups, is_v2=is_v2, maps=known_maps(config))
        for index, item in enumerate(isolation.mounts or ())
    ]
    _, made = device_steps(config, "")
    masked = list(isolation.masked_paths or ())
    locked = list(isolation.readonly_paths or ())
    created = parameters + [step for one in parts for step in one.created]
    attached = [step for one in parts for step in one.attached] + made
    return [
        *_enter_root(config, staging, created, attached),
        # Its mount point, while /dev can be written to.
        *([mounts.MakeTarget("/dev/console", False)] if isolation.terminal else ()),
        *(step for one in parts for step in one.last),
        *([mounts.ReadonlyPaths(locked)] if locked else ()),
        *([mounts.MaskPaths(masked)] if masked else ()),
        *([root.SetRootReadonly()] if config.rootfs.readonly else ()),
    ]


def make_host_steps(
    config: Config, cgroups: Mapping[str, str], *, directory: str, overlay_dir: str, is_v2: bool
) -> list[Any]:
    """Return the steps that open the host's directories and files, detached, by the launcher.

    It may reach what the init, in a user namespace, may not, and may map their ids.
    `directory` is the record's; `overlay_dir` holds the writable layer.

    Raises: NotSupported.
    """
    parts = [
        ListedMount(index, item, cgroups, is_v2=is_v2, maps=known_maps(config))
        for index, item in enumerate(config.isolation.mounts or ())
    ]
    opened, _ = device_steps(config, directory)
    # The root first: in that order mountinfo shows them.
    return [
        *_root_steps(config, overlay_dir),
        *(step for one in parts for step in one.opened),
        *opened,
    ]


def _root_steps(config: Config, overlay_dir: str) -> list[Any]:
    """Return the steps that open the root file system; the host's own is all read-only."""
    path, maps = find_root(config), known_maps(config)
    if config.rootfs.overlay and maps is not None and os.geteuid() == 0:
        from reconciler.monitor.steps.mapped_overlay import MapOverlay  # few containers need it

        return [MapOverlay("root", path, overlay_dir, maps, *host_ids(config))]
    if config.rootfs.overlay:
        upper, work = (os.path.join(overlay_dir, name) for name in ("upper", "work"))
        words = [f"lowerdir={root.escape_layer(path)}", f"upperdir={upper}", f"workdir={work}"]
        if has_user_namespace(config):
            words.append("userxattr")  # trusted.* is for the host's root
        return [listed.NewFs("root", "overlay", "overlay", words, 0)]
    attributes = 0
    if config.rootfs.path is None:
        attributes = int(MountAttr.NODEV) | (_RDONLY if config.rootfs.readonly else 0)
    steps: list[Any] = [root.CloneTree("root", path, True, attributes, 0, 0)]
    if config.isolation.maps_rootfs and maps is not None:
        steps.append(listed.MapIds("root", maps, False))
    return steps


def _enter_root(config: Config, staging: str, created: list[Any], attached: list[Any]) -> list[Any]:
    """Return the steps up to the pivot, with `created` as the root inside, and those `attached`.

    The root is private unless the config says otherwise: see `CloneTree`.

    With createContainer hooks these come before it: config.md has them after the mounts are there
    and before the pivot.
    """
    word = config.isolation.rootfs_propagation or "rprivate"
    if word.removeprefix("r") not in _PROPAGATIONS:
        message = f"'{word}' is no propagation of mounts"
        raise ReconcilerError(ErrorCode.ConfigInvalid, message, field="rootfsPropagation")
    kind = word.removeprefix("r")
    flag = int(_PROPAGATIONS[kind])
    is_hosts = mode_of(config, "mount") == NamespaceMode.HOST
    steps: list[Any] = [
        *(() if is_hosts else (root.DetachPropagation(),)),
        root.AttachRoot("root", staging),
        root.DetachPropagation(".") if kind == "slave" and not is_hosts else root.KeepPrivate(),
        *([attributes.BecomeRootInside(*first_ids(config))] if has_user_namespace(config) else ()),
        *created,
    ]
    enter = root.EnterRoot(None, ".", config.isolation.no_pivot, is_hosts)
    set_propagation: list[Any] = []
    if config.isolation.rootfs_propagation is not None:
        set_propagation.append(listed.SetPropagation(flag, word.startswith("r")))
    if config.isolation.hooks.create_container:
        return [*steps, root.VisitRoot(), *attached, root.LeaveRoot(), enter, *set_propagation]
    return [*steps, enter, *set_propagation, *attached]
