"""The mount steps of a container whose mounts are listed one by one: `Isolation.mounts`.

Called by `setup` in place of `setup_mounts`. On a bare root there is what the list says, in its
order, and the device nodes that every container has. Only host paths are looked at; nothing is
changed. Source: runtime-spec config.md (Mounts), config-linux.md (Default Filesystems).
"""

from __future__ import annotations

import os

from reconciler.engine.mount_options import MountOptions, parse_options
from reconciler.engine.namespaces import mode_of
from reconciler.engine.setup_mounts import find_root
from reconciler.engine.setup_namespaces import (
    first_ids,
    format_map,
    has_user_namespace,
    known_maps,
)
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any, Mapping
from reconciler.linux.mount import MountAttr, MountFlag
from reconciler.model.config import Config
from reconciler.model.isolation import Device, MountSpec, NamespaceMode
from reconciler.monitor.steps import attributes, listed, mounts, root

_RDONLY = int(MountAttr.RDONLY)
_KERNEL_TYPES = ("proc", "sysfs")
# What may be mounted on inside of /proc: what lxcfs and its like give (as runc has it).
_PROC_FILES = frozenset(
    f"/proc/{name}"
    for name in (
        *("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"),
        *("net/dev", "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"),
    )
)
_DEFAULT_NODES = (
    Device(path="/dev/null", type="c", major=1, minor=3),
    Device(path="/dev/zero", type="c", major=1, minor=5),
    Device(path="/dev/full", type="c", major=1, minor=7),
    Device(path="/dev/random", type="c", major=1, minor=8),
    Device(path="/dev/urandom", type="c", major=1, minor=9),
    Device(path="/dev/tty", type="c", major=5, minor=0),
)
_LINKS = [
    ["/dev/fd", "/proc/self/fd"],
    ["/dev/stdin", "/proc/self/fd/0"],
    ["/dev/stdout", "/proc/self/fd/1"],
    ["/dev/stderr", "/proc/self/fd/2"],
    ["/dev/ptmx", "pts/ptmx"],
]
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
        _Listed(index, item, cgroups, is_v2=is_v2, maps=known_maps(config))
        for index, item in enumerate(isolation.mounts or ())
    ]
    _, made = _device_steps(config)
    masked = list(isolation.masked_paths or ())
    locked = list(isolation.readonly_paths or ())
    created = parameters + [step for one in parts for step in one.created]
    attached = [step for one in parts for step in one.attached] + made
    return [
        *_enter_root(config, staging, created, attached),
        *(step for one in parts for step in one.last),
        *([mounts.ReadonlyPaths(locked)] if locked else ()),
        *([mounts.MaskPaths(masked)] if masked else ()),
        *([root.SetRootReadonly()] if config.rootfs.readonly else ()),
    ]


def make_host_steps(
    config: Config, cgroups: Mapping[str, str], *, overlay_dir: str, is_v2: bool
) -> list[Any]:
    """Return the steps that open the host's directories and files, detached, by the launcher.

    It may reach what the init, in a user namespace, may not, and may map their ids.
    `overlay_dir` holds the writable layer.
    """
    parts = [
        _Listed(index, item, cgroups, is_v2=is_v2, maps=known_maps(config))
        for index, item in enumerate(config.isolation.mounts or ())
    ]
    opened, _ = _device_steps(config)
    # The root first: in that order mountinfo shows them.
    return [
        *_root_steps(config, overlay_dir),
        *(step for one in parts for step in one.opened),
        *opened,
    ]


def _root_steps(config: Config, overlay_dir: str) -> list[Any]:
    """Return the steps that open the root file system; the host's own is all read-only."""
    path = find_root(config)
    if config.rootfs.overlay:
        upper, work = (os.path.join(overlay_dir, name) for name in ("upper", "work"))
        words = [f"lowerdir={path}", f"upperdir={upper}", f"workdir={work}"]
        if has_user_namespace(config):
            words.append("userxattr")  # trusted.* is for the host's root
        return [listed.NewFs("root", "overlay", "overlay", words, 0)]
    attributes = 0
    if config.rootfs.path is None:
        attributes = int(MountAttr.NODEV) | (_RDONLY if config.rootfs.readonly else 0)
    steps: list[Any] = [root.CloneTree("root", path, True, attributes, 0, 0)]
    maps = known_maps(config)
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
    is_shared = kind == "shared"
    is_hosts = mode_of(config, "mount") == NamespaceMode.HOST
    before = root.PrivateParent(staging) if is_shared else root.DetachPropagation()
    steps: list[Any] = [
        *(() if is_hosts else (before,)),
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


def _device_steps(config: Config) -> tuple[list[Any], list[Any]]:
    """Return the steps for nodes and links below /dev, unless the host's own is mounted there.

    The first are for before the pivot: in a user namespace the host's nodes are bind mounted, as
    none can be made there.
    """
    for item in config.isolation.mounts or ():
        if os.path.normpath(item.destination) == "/dev" and parse_options(item.options).is_bind:
            return [], []
    nodes = {device.path: device for device in (*_DEFAULT_NODES, *config.isolation.devices)}
    if has_user_namespace(config):
        found = [path for path in nodes if os.path.exists(path)]
        opened = [root.CloneTree(path, path, False, 0, 0) for path in found]
        attached = [listed.AttachAt(path, path, False, True, False, 0, 0) for path in found]
        return opened, [*attached, listed.MakeLinks(_LINKS)]
    rows = [
        [one.path, one.type, one.major, one.minor, one.mode, one.uid, one.gid]
        for one in nodes.values()
    ]
    return [], [listed.MakeNodes(rows), listed.MakeLinks(_LINKS)]


class _Listed:
    """The steps of one listed mount: before the pivot, after it, and when all else is there."""

    def __init__(
        self,
        index: int,
        item: MountSpec,
        cgroups: Mapping[str, str],
        *,
        is_v2: bool,
        maps: dict[str, str] | None,
    ) -> None:
        self._index = index
        self._item = item
        self._key = f"mounts[{index}]"
        self._target = "/" + os.path.normpath(item.destination).lstrip("/")
        self._options = options = parse_options(item.options)
        self._maps = maps
        self.opened: list[Any] = []
        self.created: list[Any] = []
        self.attached: list[Any] = []
        self.last: list[Any] = []
        self._check_target()
        if options.is_remount:
            self.last.append(
                listed.ChangeMount(self._target, options.add, options.clear, options.is_recursive)
            )
        elif options.is_bind or item.type in (None, "bind", "none"):
            self._bind(item.source or "")
        elif item.type == "cgroup" and not is_v2:
            self._bind_cgroups(cgroups)
        else:
            self._new(is_v2=is_v2)

    def _bind(self, source: str) -> None:
        if not os.path.lexists(source):
            raise ReconcilerError(
                ErrorCode.MountSourceNotFound,
                f"the mount source {source or '(none given)'} does not exist",
                path=source,
                field=f"mounts[{self._index}].source",
            )
        options = self._options
        is_recursive = options.is_recursive or (
            not options.is_bind and bool(options.add_all or options.clear_all)
        )
        opened = root.CloneTree(self._key, source, is_recursive, 0, 0)
        if asked := options.propagation | options.propagation_all:
            # The host's part alone: what else is asked for is set where it is attached.
            flag = 0 if asked & MountFlag.SHARED else int(MountFlag.SLAVE)
            opened = opened._replace(propagation=flag)
        self.opened.append(opened)
        self._attributes()
        self._map_ids()
        self._attach(is_directory=os.path.isdir(source), is_plain=False)

    def _map_ids(self) -> None:
        item = self._item
        maps = self._maps
        if item.uid_mappings or item.gid_mappings:
            maps = {"uid": format_map(item.uid_mappings), "gid": format_map(item.gid_mappings)}
        elif self._options.idmap is None:
            return
        if maps is None or not (maps["uid"] and maps["gid"]):
            raise self._refused("an idmapped mount needs uidMappings and gidMappings")
        self.opened.append(listed.MapIds(self._key, maps, self._options.idmap == "ridmap"))

    def _new(self, *, is_v2: bool) -> None:
        item, options = self._item, self._options
        fs_type = "cgroup2" if item.type == "cgroup" and is_v2 else item.type or ""
        words = [word for word in options.data if word]
        takes_mode = fs_type == "tmpfs" and not any(word.startswith("mode=") for word in words)
        # What is read-only in the end still has to be filled.
        is_filled = self._target == "/dev" or fs_type == "tmpfs"
        attributes = options.add | options.add_all
        is_late = is_filled and bool(attributes & _RDONLY)
        attributes &= ~_RDONLY if is_late else -1
        self.created.append(listed.NewFs(self._key, fs_type, item.source, words, attributes))
        is_plain = fs_type in _KERNEL_TYPES or self._target == "/dev"
        self._attach(is_directory=True, is_plain=is_plain, takes_mode=takes_mode)
        if is_late:
            self.last.append(listed.ChangeMount(self._target, _RDONLY, 0, False))

    def _bind_cgroups(self, cgroups: Mapping[str, str]) -> None:
        """Show the container its own cgroups, one directory for each hierarchy."""
        options = self._options
        flags = options.add & ~_RDONLY
        self.created.append(listed.NewFs(self._key, "tmpfs", "tmpfs", ["mode=755"], flags))
        self._attach(is_directory=True, is_plain=False)
        for hierarchy, directory in sorted(cgroups.items()):
            name = hierarchy.removeprefix("name=")
            key = f"{self._key}/{name}"
            self.opened.append(root.CloneTree(key, directory, False, options.add, options.clear))
            target = f"{self._target}/{name}"
            self.attached.append(listed.AttachAt(key, target, True, False, False, 0, 0))
        if options.add & _RDONLY:
            self.last.append(listed.ChangeMount(self._target, _RDONLY, 0, False))

    def _attributes(self) -> None:
        options = self._options
        if options.add or options.clear:
            one = listed.SetTreeAttributes(self._key, options.add, options.clear, False)
            self.opened.append(one)
        if options.add_all or options.clear_all:
            every = listed.SetTreeAttributes(self._key, options.add_all, options.clear_all, True)
            self.opened.append(every)

    def _attach(self, *, is_directory: bool, is_plain: bool, takes_mode: bool = False) -> None:
        options: MountOptions = self._options
        self.attached.append(
            listed.AttachAt(
                self._key,
                self._target,
                is_directory,
                is_plain,
                options.copies_up,
                options.propagation,
                options.propagation_all,
                takes_mode,
            )
        )

    def _check_target(self) -> None:
        target, item = self._target, self._item
        if target == "/proc" and (item.type == "proc" or self._is_hosts_proc()):
            return
        if (target == "/proc" or target.startswith("/proc/")) and target not in _PROC_FILES:
            raise self._refused("nothing but procfs may be mounted on /proc, and nothing inside it")
        if item.source is None and (self._options.is_bind or item.type == "bind"):
            raise self._refused("a bind mount needs a source")

    def _is_hosts_proc(self) -> bool:
        """Tell whether the host's own /proc is bound, as where its pid namespace is shared."""
        source, is_bind = self._item.source, self._options.is_bind or self._item.type == "bind"
        return is_bind and source is not None and os.path.realpath(source) == "/proc"

    def _refused(self, message: str) -> ReconcilerError:
        where = f"mounts[{self._index}] on {self._target}"
        field = f"mounts[{self._index}]"
        return ReconcilerError(ErrorCode.ConfigInvalid, f"{where}: {message}", field=field)
