"""Steps for mounts as an OCI config lists them: made detached, attached to what a descriptor holds.

    before the pivot   CloneTree, NewFs, SetTreeAttributes: detached mounts, by key
    after the pivot    AttachAt: the target is opened inside the root, which is `/` by then, and
                       without magic links; what was opened is what is mounted on

A target is never named twice: see `places`.
"""

from __future__ import annotations

import os
import stat

from reconciler.lean import Any, NamedTuple, suppress
from reconciler.linux import mount as m
from reconciler.linux.userns import open_user_namespace
from reconciler.monitor.steps.context import Context
from reconciler.monitor.steps.places import ANCHORED, make_directories, make_place, open_place

_IDMAP = int(m.MountAttr.IDMAP)
_NODE_TYPES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
_PROPAGATIONS = tuple(
    int(flag)
    for flag in (
        m.MountFlag.SHARED,
        m.MountFlag.SLAVE,
        m.MountFlag.PRIVATE,
        m.MountFlag.UNBINDABLE,
    )
)


class NewFs(NamedTuple):
    """Make a file system instance, not mounted anywhere yet; `words` are its own options."""

    key: str
    fs_type: str
    source: str | None
    words: list[str]
    attributes: int

    def describe(self) -> str:
        return f"make a {self.fs_type} file system"

    def prepare(self, context: Context) -> None:
        tree, words = context.tree(self.key), self.words
        m.new_filesystem(context.calls, self.fs_type, self.source, words, self.attributes, tree)


class SetTreeAttributes(NamedTuple):
    """Set and clear attributes of a detached mount, or of all in it."""

    key: str
    add: int
    clear: int
    recursive: bool

    def describe(self) -> str:
        return f"set the flags of {self.key}"

    def prepare(self, context: Context) -> None:
        tree = context.tree(self.key)
        m.change_attributes(context.calls, tree, self.add, self.clear, self.recursive)


class MapIds(NamedTuple):
    """Have the owners of a detached mount's files appear as others: `uid` and `gid` maps."""

    key: str
    maps: dict[str, str]
    recursive: bool

    def describe(self) -> str:
        return f"map the ids of {self.key}"

    def execute(self, context: Context) -> None:
        namespace = open_user_namespace(self.maps)
        try:
            m.set_mount_attributes(
                context.trees[self.key], _IDMAP, recursive=self.recursive, userns_fd=namespace
            )
        finally:
            os.close(namespace)


class AttachAt(NamedTuple):
    """Attach a detached mount to `target`, made where it is missing.

    With `is_plain` the target may not be a symbolic link (CVE-2019-19921), and an anchor is what
    is mounted. `copies_up`: what the directory held before is in the new file system too;
    `takes_mode`: its root gets the mode of the directory, if there was one, and its owner with
    `copies_up`.
    """

    key: str
    target: str
    is_directory: bool
    is_plain: bool
    copies_up: bool
    propagation: int
    propagation_all: int
    takes_mode: bool = False

    def describe(self) -> str:
        return f"mount on {self.target}"

    def foresee(self, context: Context) -> None:
        """Tell what is prepared after this which anchors there will be."""
        if self.target in context.anchored:
            context.anchored.remove(self.target)
        if self.is_plain and self.target in ANCHORED:
            context.anchored.append(self.target)

    def execute(self, context: Context) -> None:
        tree = context.trees.pop(self.key)
        was_there = self.takes_mode and os.path.isdir(self.target)
        target = make_place(
            context, self.target, is_directory=self.is_directory, is_plain=self.is_plain
        )
        try:
            if self.copies_up:
                _copy_up(target, tree, with_own=was_there)
            elif was_there:
                _copy_mode(target, tree)
            m.attach_tree_at(tree, target)
            for kind in _PROPAGATIONS:
                for flags, recursive in ((self.propagation, False), (self.propagation_all, True)):
                    if flags & kind:
                        m.set_mount_attributes(tree, 0, recursive=recursive, propagation=kind)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.target) from error
        finally:
            os.close(target)
        if self.target in ANCHORED and self.target in context.anchors:
            os.close(context.anchors.pop(self.target))  # covered
        if self.is_plain and self.target in ANCHORED:
            context.anchors[self.target] = tree
        else:
            os.close(tree)


def _copy_mode(source: int, tree: int) -> None:
    """Give the root of the new file system the mode of the directory `source`, as runc does."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)
    try:
        os.fchmod(fd, stat.S_IMODE(os.fstat(source).st_mode))
    finally:
        os.close(fd)


def _copy_up(source: int, tree: int, *, with_own: bool = True) -> None:
    """Copy what the directory `source` holds into the new file system, special files aside.

    `with_own`: its owner, mode and times too. By hand, as nothing can be imported here: Python's
    library is not in this root.
    """
    source = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=source)
    target = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)
    try:
        for name in os.listdir(source):
            _copy_entry(name, source, target)
        if with_own:
            _copy_attributes(os.fstat(source), target)
    finally:
        os.close(source)
        os.close(target)


def _copy_entry(name: str, source: int, target: int) -> None:
    found = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
        return
    if stat.S_ISDIR(found.st_mode):
        os.mkdir(name, 0o700, dir_fd=target)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        inner = [os.open(name, flags, dir_fd=parent) for parent in (source, target)]
        _copy_up(*inner)
    elif stat.S_ISREG(found.st_mode):
        reading, writing = os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_EXCL
        extra = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # it may be a FIFO by now
        inner = [
            os.open(name, reading | extra, dir_fd=source),
            os.open(name, writing | extra, 0o600, dir_fd=target),
        ]
        while os.sendfile(inner[1], inner[0], None, 2**30):
            pass
        _copy_attributes(found, inner[1])
    else:
        return
    for fd in inner:
        os.close(fd)


def _copy_attributes(found: os.stat_result, target: int) -> None:
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


class ChangeMount(NamedTuple):
    """Set and clear attributes of what is mounted on `path`: at the end, or by `remount`."""

    path: str
    add: int
    clear: int
    recursive: bool

    def describe(self) -> str:
        return f"set the flags of {self.path}"

    def execute(self, context: Context) -> None:
        target = open_place(context, self.path)
        try:
            m.set_mount_attributes(target, self.add, self.clear, recursive=self.recursive)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from error
        finally:
            os.close(target)


class SetPropagation(NamedTuple):
    """Set the propagation of the root mount, or of all mounts."""

    kind: int
    recursive: bool

    def describe(self) -> str:
        return "set the propagation of the root"

    def execute(self, context: Context) -> None:
        m.set_mount_attributes("/", 0, recursive=self.recursive, propagation=self.kind)


class MakeNodes(NamedTuple):
    """Make device nodes: [path, type (c, u, b, p), major, minor, mode, uid, gid]."""

    nodes: list[list[Any]]

    def describe(self) -> str:
        return "make device nodes " + " ".join(str(node[0]) for node in self.nodes)

    def execute(self, context: Context) -> None:
        before = os.umask(0)
        for path, *node in self.nodes:
            directory, name = os.path.split(path)
            fd = make_directories(context, directory)
            try:
                _make_node(fd, name, node)
            except OSError as error:
                raise OSError(error.errno, error.strerror, path) from error
            finally:
                os.close(fd)
        os.umask(before)


class MakeHostNodes(NamedTuple):
    """Make device nodes in a directory of the host: [name, and as `MakeNodes`].

    In a user namespace none can be made; these are bind mounted.
    """

    directory: str
    nodes: list[list[Any]]

    def describe(self) -> str:
        return "make device nodes for a user namespace"

    def execute(self, context: Context) -> None:
        fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        before = os.umask(0)
        try:
            for name, *node in self.nodes:
                _make_node(fd, name, node)
        finally:
            os.umask(before)
            os.close(fd)


def _make_node(fd: int, name: str, node: list[Any]) -> None:
    """Make a node in the directory `fd`, unless just this one is there. Raises: OSError."""
    type_letter, major, minor, mode, uid, gid = node
    kind, number = _NODE_TYPES[type_letter], os.makedev(major, minor)
    try:
        os.mknod(name, kind | mode, number, dir_fd=fd)
    except FileExistsError:
        found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if stat.S_IFMT(found.st_mode) != kind or found.st_rdev != number:
            raise
        return
    os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)


class MakeLinks(NamedTuple):
    """Make symbolic links where there is nothing yet: [path, target]."""

    links: list[list[str]]

    def describe(self) -> str:
        return "make links " + " ".join(link[0] for link in self.links)

    def execute(self, context: Context) -> None:
        for path, target in self.links:
            directory, name = os.path.split(path)
            fd = open_place(context, directory)
            with suppress(FileExistsError):
                os.symlink(target, name, dir_fd=fd)
            os.close(fd)


STEPS = (
    NewFs,
    SetTreeAttributes,
    MapIds,
    AttachAt,
    ChangeMount,
    SetPropagation,
    MakeNodes,
    MakeHostNodes,
    MakeLinks,
)
