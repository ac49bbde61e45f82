"""Steps that mount file systems inside the new root, after the pivot.

Every path is resolved inside the container's root, which is `/` by then: no symlink in it
can reach the host.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from reconciler.linux import mount as m
from reconciler.monitor.steps.context import Context

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
_BIND = int(m.MountFlag.BIND)
_RBIND = int(m.MountFlag.BIND | m.MountFlag.REC)
_MASK = int(m.MountFlag.RDONLY | m.MountFlag.NOSUID | m.MountFlag.NODEV | m.MountFlag.NOEXEC)
_ATTR_RDONLY = int(m.MountAttr.RDONLY)
_NULL_DEVICE = os.makedev(1, 3)


class MakeTarget(NamedTuple):
    """Make the mount point of a mount where it is missing: a directory or an empty file."""

    path: str
    is_directory: bool

    def describe(self) -> str:
        return f"make mount point {self.path}"

    def execute(self, context: Context) -> None:
        if os.path.exists(self.path):
            return
        path = os.path.realpath(self.path)  # through symlinks that dangle, inside this root
        if self.is_directory:
            os.makedirs(path, 0o755, exist_ok=True)
            return
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644))


class MountFs(NamedTuple):
    """Mount a file system of the kernel's: proc, sysfs, tmpfs, devpts, mqueue."""

    fs_type: str
    target: str
    flags: int
    data: str | None

    def describe(self) -> str:
        return f"mount {self.fs_type} on {self.target}"

    def execute(self, context: Context) -> None:
        m.mount(self.fs_type, self.target, self.fs_type, self.flags, self.data)


class AttachTree(NamedTuple):
    """Attach what `CloneTree` opened: a bind mount."""

    key: str
    target: str

    def describe(self) -> str:
        return f"bind mount on {self.target}"

    def execute(self, context: Context) -> None:
        tree = context.trees.pop(self.key)
        m.attach_tree(tree, self.target)
        os.close(tree)


class MakeDevices(NamedTuple):
    """Fill the fresh /dev: the six nodes every program may expect, links, pts, shm, mqueue."""

    def describe(self) -> str:
        return "make device nodes in /dev"

    def execute(self, context: Context) -> None:
        for name, major, minor in _DEVICES:
            path = f"/dev/{name}"
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            os.chmod(path, 0o666)
        for name, target in _DEVICE_LINKS:
            os.symlink(target, f"/dev/{name}")
        for name in ("pts", "shm", "mqueue"):
            os.mkdir(f"/dev/{name}", 0o755)


class MaskPaths(NamedTuple):
    """Cover what the kernel shows and a container has no business with."""

    paths: list[str]

    def describe(self) -> str:
        return "mask " + " ".join(self.paths)

    def execute(self, context: Context) -> None:
        if os.stat("/dev/null").st_rdev != _NULL_DEVICE:
            raise OSError(22, "/dev/null is not the null device", "/dev/null")
        for path in self.paths:
            try:
                is_directory = stat.S_ISDIR(os.lstat(path).st_mode)
            except FileNotFoundError:  # this kernel does not show it
                continue
            if is_directory:
                m.mount("tmpfs", path, "tmpfs", _MASK, "size=0k,mode=755")
            else:
                m.mount("/dev/null", path, None, _BIND)


class ReadonlyPaths(NamedTuple):
    """Make parts of /proc read-only."""

    paths: list[str]

    def describe(self) -> str:
        return "make read-only " + " ".join(self.paths)

    def execute(self, context: Context) -> None:
        for path in self.paths:
            if os.path.lexists(path):
                m.mount(path, path, None, _RBIND)
                m.set_mount_attributes(path, _ATTR_RDONLY, recursive=True)


STEPS = (MakeTarget, MountFs, AttachTree, MakeDevices, MaskPaths, ReadonlyPaths)
