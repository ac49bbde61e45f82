"""One mount of a list, an OCI config's or a spec file's, to its steps.

Called by `listed_mounts` and `setup_mounts`. Only host paths are looked at; nothing is changed.
Source: runtime-spec config.md (Mounts), mount(8), mount_setattr(2).
"""

from __future__ import annotations

import os

from reconciler.engine.mount_options import ATTRIBUTE_WORDS, MountOptions, parse_options
from reconciler.engine.setup_namespaces import format_map
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any, Mapping
from reconciler.linux.mount import MountAttr, MountFlag
from reconciler.model.config import Mount, MountType
from reconciler.model.isolation import MountSpec
from reconciler.monitor.steps import listed, root

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
_KERNEL = ("nosuid", "nodev", "noexec")
# By type: the words that a spec's mount has unless it says otherwise.
_SAFE = {
    MountType.BIND: ("nosuid", "nodev"),
    MountType.TMPFS: ("nosuid", "nodev"),
    MountType.OVERLAY: ("nosuid", "nodev"),
    MountType.PROC: _KERNEL,
    MountType.SYSFS: (*_KERNEL, "ro"),
    MountType.CGROUP: (*_KERNEL, "ro"),
    MountType.MQUEUE: _KERNEL,
    MountType.DEVPTS: ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
}


def as_listed(item: Mount, *, is_mapped: bool, has_tty_group: bool = True) -> MountSpec:
    """Return a mount of a spec file as a listed one, with the safe defaults that it has.

    What a bind mount says is for all that is mounted below its source too, but with the option
    `bind`. `is_mapped`: it is made in a user namespace.
    """
    given = set(item.options)
    words = [word for word in _SAFE[item.type] if not _is_said(word, given)] + list(item.options)
    if item.type is MountType.BIND:
        if not given & {"bind", "rbind"}:
            words.append("rbind")
        if "bind" not in given:
            words = [f"r{word}" if word in ATTRIBUTE_WORDS else word for word in words]
    elif item.type is MountType.TMPFS:
        words += [f"mode={item.mode or '1777'}"]
        words += [] if item.size_bytes is None else [f"size={item.size_bytes}"]
    elif item.type is MountType.DEVPTS:
        words += ["gid=5"] if has_tty_group and not _is_said("gid=5", given) else []
    elif item.type is MountType.OVERLAY:
        words += _layers(item)
        words += ["userxattr"] if is_mapped and "userxattr" not in given else []
    return MountSpec(
        destination=item.target,
        type=str(item.type),
        source=item.source if item.type is MountType.BIND else str(item.type),
        options=tuple(words),
        uid_mappings=item.uid_mappings,
        gid_mappings=item.gid_mappings,
    )


def _is_said(word: str, given: set[str]) -> bool:
    """Tell whether the given words say a default already, or the contrary of it."""
    name, equals, _ = word.partition("=")
    if equals:
        return any(one.startswith(f"{name}=") for one in given)
    other = {"ro": "rw"}.get(word, word.removeprefix("no"))
    return bool({word, other, f"r{word}", f"r{other}"} & given)


def _layers(item: Mount) -> list[str]:
    lower = ":".join(map(root.escape_layer, item.lower))
    words = [f"lowerdir={lower}"]
    if item.upper is not None and item.work is not None:
        words += [f"upperdir={item.upper}", f"workdir={item.work}"]
    return words


class ListedMount:
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
                f"the mount source {source or '(none given)'} does not exist; make it or correct "
                f"mounts[{self._index}]",
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
