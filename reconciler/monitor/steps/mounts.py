"""Steps that mount file systems inside the new root, after the pivot.

Every path is resolved inside the container's root, which is `/` by then: no symlink in it
can reach the host. `places` says how.
"""

from __future__ import annotations

import os
import stat

from reconciler.lean import NamedTuple
from reconciler.linux import mount as m
from reconciler.monitor.steps.context import Context
from reconciler.monitor.steps.places import (
    ANCHORED,
    attach,
    make_place,
    open_null_device,
    open_place,
)

_DEVICES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
_DEVICE_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)

# Plain numbers: the enum's operators are slow, and slower in a fresh child.
_MASK = int(m.MountAttr.RDONLY | m.MountAttr.NOSUID | m.MountAttr.NODEV | m.MountAttr.NOEXEC)
_ATTR_RDONLY = int(m.MountAttr.RDONLY)
_SAME_BITS = 0xF  # RDONLY to NOEXEC are the same in both interfaces
_FLAG_NOATIME, _ATTR_NOATIME = int(m.MountFlag.NOATIME), int(m.MountAttr.NOATIME)


class MakeTarget(NamedTuple):
    """Make the mount point of a mount where it is missing: a directory or an empty file."""

    path: str
    is_directory: bool

    def describe(self) -> str:
        return f"make mount point {self.path}"

    def execute(self, context: Context) -> None:
        os.close(make_place(context, self.path, is_directory=self.is_directory))


class MountFs(NamedTuple):
    """Mount a file system of the kernel's: proc, sysfs, tmpfs, devpts, mqueue."""

    fs_type: str
    target: str
    flags: int
    data: str | None

    def describe(self) -> str:
        return f"mount {self.fs_type} on {self.target}"

    def execute(self, context: Context) -> None:
        words = self.data.split(",") if self.data else []
        attributes = self.flags & _SAME_BITS | (_ATTR_NOATIME if self.flags & _FLAG_NOATIME else 0)
        is_anchor = self.target in ANCHORED
        tree = m.new_filesystem(self.fs_type, self.fs_type, words, attributes)
        target = open_place(context, self.target, is_plain=is_anchor)
        attach(tree, target, self.target)
        os.close(target)
        if is_anchor:
            context.anchors[self.target] = tree
        else:
            os.close(tree)


class AttachTree(NamedTuple):
    """Attach what `CloneTree` opened: a bind mount."""

    key: str
    target: str

    def describe(self) -> str:
        return f"bind mount on {self.target}"

    def execute(self, context: Context) -> None:
        tree = context.trees.pop(self.key)
        target = open_place(context, self.target)
        attach(tree, target, self.target)
        os.close(target)
        os.close(tree)


class MakeDevices(NamedTuple):
    """Fill the fresh /dev: the six nodes every program may expect, links, pts, shm, mqueue."""

    def describe(self) -> str:
        return "make device nodes in /dev"

    def execute(self, context: Context) -> None:
        fd = context.anchors["/dev"]
        for name, major, minor in _DEVICES:
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=fd)
            os.chmod(name, 0o666, dir_fd=fd)
        for name, target in _DEVICE_LINKS:
            os.symlink(target, name, dir_fd=fd)
        for name in ("pts", "shm", "mqueue"):
            os.mkdir(name, 0o755, dir_fd=fd)


class MaskPaths(NamedTuple):
    """Cover what the kernel shows and a container has no business with.

    A directory by an empty one, all else by the null device (CVE-2025-31133).
    """

    paths: list[str]

    def describe(self) -> str:
        return "mask " + " ".join(self.paths)

    def execute(self, context: Context) -> None:
        null = open_null_device(context, os.O_PATH) if self.paths else -1
        empty = -1
        for path in self.paths:
            try:
                target = open_place(context, path)
            except (FileNotFoundError, NotADirectoryError):  # this kernel does not show it
                continue
            if not stat.S_ISDIR(os.fstat(target).st_mode):
                tree = m.clone_tree_at(null, recursive=False)
            elif empty < 0:
                tree = empty = m.new_filesystem("tmpfs", "tmpfs", ["size=0k", "mode=755"], _MASK)
            else:  # of the one that is mounted by now: before Linux 6.15 no other can be copied
                tree = m.clone_tree_at(empty, recursive=False)
            attach(tree, target, path)
            if tree != empty:
                os.close(tree)
            os.close(target)
        for fd in (null, empty):  # or /proc/self/fd would lead to them
            if fd >= 0:
                os.close(fd)


class ReadonlyPaths(NamedTuple):
    """Make paths read-only by mounting them over themselves."""

    paths: list[str]

    def describe(self) -> str:
        return "make read-only " + " ".join(self.paths)

    def execute(self, context: Context) -> None:
        for path in self.paths:
            try:
                target = open_place(context, path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            tree = m.clone_tree_at(target, recursive=True)
            m.set_mount_attributes(tree, _ATTR_RDONLY, recursive=True)
            attach(tree, target, path)
            os.close(tree)
            os.close(target)


STEPS = (MakeTarget, MountFs, AttachTree, MakeDevices, MaskPaths, ReadonlyPaths)
