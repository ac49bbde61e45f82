"""Steps that mount file systems inside the new root, after the pivot.

Every path is resolved inside the container's root, which is `/` by then: no symlink in it
can reach the host. `places` says how.
"""

from __future__ import annotations

import errno
import os
import stat

from reconciler.lean import NamedTuple
from reconciler.linux import mount as m
from reconciler.linux.calls import SYS, Fd, Label, encode
from reconciler.monitor.steps.context import Context
from reconciler.monitor.steps.places import (
    ANCHORED,
    make_place,
    prepare_null_device,
    prepare_place,
    prepare_plain_place,
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

    def prepare(self, context: Context) -> None:
        calls = context.calls
        with calls.block() as done:
            with calls.block() as missing:
                calls.close(prepare_place(context, self.path, {errno.ENOENT: missing}))
                calls.jump(done)
            calls.python(self._make_place)

    def _make_place(self, context: Context) -> None:
        os.close(make_place(context, self.path, is_directory=self.is_directory))


class MountFs(NamedTuple):
    """Mount a file system of the kernel's: proc, sysfs, tmpfs, devpts, mqueue."""

    fs_type: str
    target: str
    flags: int
    data: str | None

    def describe(self) -> str:
        return f"mount {self.fs_type} on {self.target}"

    def prepare(self, context: Context) -> None:
        calls = context.calls
        words = self.data.split(",") if self.data else []
        attributes = self.flags & _SAME_BITS | (_ATTR_NOATIME if self.flags & _FLAG_NOATIME else 0)
        is_anchor = self.target in ANCHORED
        tree = context.anchor(self.target) if is_anchor else calls.fd()
        m.new_filesystem(calls, self.fs_type, self.fs_type, words, attributes, tree)
        target = (prepare_plain_place if is_anchor else prepare_place)(context, self.target)
        m.attach_tree_on(calls, tree, target, self.target)
        calls.close(target)
        if is_anchor:
            context.anchored.append(self.target)
        else:
            calls.close(tree)


class AttachTree(NamedTuple):
    """Attach what `CloneTree` opened: a bind mount."""

    key: str
    target: str

    def describe(self) -> str:
        return f"bind mount on {self.target}"

    def prepare(self, context: Context) -> None:
        tree = context.tree(self.key)
        target = prepare_place(context, self.target)
        m.attach_tree_on(context.calls, tree, target, self.target)
        context.calls.close(target)
        context.calls.close(tree)


class MakeDevices(NamedTuple):
    """Fill the fresh /dev: the six nodes every program may expect, links, pts, shm, mqueue."""

    def describe(self) -> str:
        return "make device nodes in /dev"

    def prepare(self, context: Context) -> None:
        calls, fd = context.calls, context.anchor("/dev")
        for name, major, minor in _DEVICES:
            path = encode(name)
            calls.add(SYS.mknodat, fd, path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            calls.add(SYS.fchmodat, fd, path, 0o666)
        for name, target in _DEVICE_LINKS:
            calls.add(SYS.symlinkat, encode(target), fd, encode(name))
        for name in ("pts", "shm", "mqueue"):
            calls.add(SYS.mkdirat, fd, encode(name), 0o755)


class MaskPaths(NamedTuple):
    """Cover what the kernel shows and a container has no business with.

    A directory by an empty one, all else by the null device (CVE-2025-31133).
    """

    paths: list[str]

    def describe(self) -> str:
        return "mask " + " ".join(self.paths)

    def prepare(self, context: Context) -> None:
        if not self.paths:
            return
        calls = context.calls
        null = prepare_null_device(context, os.O_PATH)
        empty = calls.fd()
        for path in self.paths:
            with calls.block() as masked:
                with calls.block() as is_file:
                    _mask_directory(context, path, empty, masked, is_file)
                missing = {errno.ENOENT: masked, errno.ENOTDIR: masked}  # on this kernel
                target = prepare_place(context, path, missing)
                tree = calls.fd()
                m.clone_open_tree(calls, null, tree, recursive=False, path=path)
                m.attach_tree_on(calls, tree, target, path)
                calls.close(tree)
                calls.close(target)
        calls.close(null)  # or /proc/self/fd would lead to it
        calls.close(empty)


def _mask_directory(context: Context, path: str, empty: Fd, masked: Label, is_file: Label) -> None:
    """Cover `path` by the empty directory, made for the first; go on at `is_file` if it is none."""
    calls = context.calls
    jumps = {errno.ENOENT: masked, errno.ENOTDIR: is_file}
    target = prepare_place(context, path, jumps, os.O_PATH | os.O_DIRECTORY)
    with calls.block() as attached:
        with calls.block() as is_there:
            calls.jump(is_there, if_open=empty)
            m.new_filesystem(calls, "tmpfs", "tmpfs", ["size=0k", "mode=755"], _MASK, empty)
            m.attach_tree_on(calls, empty, target, path)
            calls.jump(attached)
        # Of the one that is mounted by now: before Linux 6.15 no other can be copied.
        tree = calls.fd()
        m.clone_open_tree(calls, empty, tree, recursive=False, path=path)
        m.attach_tree_on(calls, tree, target, path)
        calls.close(tree)
    calls.close(target)
    calls.jump(masked)


class ReadonlyPaths(NamedTuple):
    """Make paths read-only by mounting them over themselves."""

    paths: list[str]

    def describe(self) -> str:
        return "make read-only " + " ".join(self.paths)

    def prepare(self, context: Context) -> None:
        calls = context.calls
        for path in self.paths:
            with calls.block() as missing:
                target = prepare_place(
                    context, path, {errno.ENOENT: missing, errno.ENOTDIR: missing}
                )
                tree = calls.fd()
                m.clone_open_tree(calls, target, tree, recursive=True, path=path)
                m.change_attributes(calls, tree, _ATTR_RDONLY, 0, recursive=True)
                m.attach_tree_on(calls, tree, target, path)
                calls.close(tree)
                calls.close(target)


STEPS = (MakeTarget, MountFs, AttachTree, MakeDevices, MaskPaths, ReadonlyPaths)
