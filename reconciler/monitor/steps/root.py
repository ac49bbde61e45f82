"""Steps that bring in the root file system and leave the host's behind."""

from __future__ import annotations

import os

from reconciler.lean import NamedTuple, suppress
from reconciler.linux import mount as m
from reconciler.linux.calls import SYS, encode
from reconciler.monitor.steps.context import Context

# Plain numbers: the enum's operators are slow, and slower in a fresh child.
_SLAVE = int(m.MountFlag.REC | m.MountFlag.SLAVE)
_PRIVATE = int(m.MountFlag.PRIVATE)
_ALL_PRIVATE = int(m.MountFlag.REC | m.MountFlag.PRIVATE)
_MOVE = int(m.MountFlag.MOVE)
_NODEV = int(m.MountFlag.NODEV)
_ATTR_RDONLY = int(m.MountAttr.RDONLY)


class DetachPropagation(NamedTuple):
    """Make mounts slaves: the host's unmounts reach us, ours never reach the host.

    All of them, or those below the working directory: what was opened before is still shared, and
    pivot_root(2) refuses that.
    """

    path: str = "/"

    def describe(self) -> str:
        return "make mounts slaves of the host's"

    def prepare(self, context: Context) -> None:
        m.change_propagation(context.calls, self.path, _SLAVE)


class KeepPrivate(NamedTuple):
    """Let nothing that is mounted below the working directory go to others, nor theirs come here.

    For a root that is mounted among the host's mounts.
    """

    def describe(self) -> str:
        return "make the mounts of the root private"

    def execute(self, context: Context) -> None:
        m.mount(None, ".", None, _ALL_PRIVATE)


class CloneTree(NamedTuple):
    """Take a detached copy of a host directory or file, to be attached after the pivot.

    Private unless told otherwise (`propagation` is one of MS_*, 0 leaves it as the host's): what
    the host mounts there later would come without the flags that are set here, `ro` among them.
    """

    key: str
    path: str
    recursive: bool
    add: int
    clear: int
    propagation: int = _PRIVATE

    def describe(self) -> str:
        return f"open {self.path}"

    def prepare(self, context: Context) -> None:
        tree = context.tree(self.key)
        m.clone_tree(context.calls, self.path, tree, recursive=self.recursive)
        if self.add or self.clear or self.propagation:
            m.change_attributes(
                context.calls, tree, self.add, self.clear, self.recursive, self.propagation
            )


class SetTopWritable(NamedTuple):
    """Make the top mount of the tree `key` writable again, so that mount points can be made."""

    key: str

    def describe(self) -> str:
        return "make the root writable for set-up"

    def prepare(self, context: Context) -> None:
        m.change_attributes(context.calls, context.tree(self.key), 0, _ATTR_RDONLY, recursive=False)


class MountOverlay(NamedTuple):
    """Mount an overlay of `lower` with a writable layer on `staging`."""

    lower: str
    upper: str
    work: str
    staging: str

    def describe(self) -> str:
        return f"overlay {self.lower}"

    def execute(self, context: Context) -> None:
        data = f"lowerdir={escape_layer(self.lower)},upperdir={self.upper},workdir={self.work}"
        m.mount("overlay", self.staging, "overlay", _NODEV, data)


class AttachRoot(NamedTuple):
    """Attach the tree `key` on `staging` and go there; `EnterRoot` follows, with `.`."""

    key: str
    staging: str

    def describe(self) -> str:
        return "attach the root file system"

    def prepare(self, context: Context) -> None:
        m.attach_tree(context.calls, context.tree(self.key), self.staging)
        context.calls.add(SYS.chdir, encode(self.staging), path=self.staging)


class EnterRoot(NamedTuple):
    """Attach the tree `key` (or take what is mounted there) on `staging` and pivot into it.

    `no_pivot`: by moving the mount and chroot(2), where the host's root is a ramfs; `is_shared`: by
    chroot(2) alone, as the mounts are the host's too.
    """

    key: str | None
    staging: str
    no_pivot: bool = False
    is_shared: bool = False

    def describe(self) -> str:
        return "enter the root file system"

    def prepare(self, context: Context) -> None:
        calls = context.calls
        if self.key is not None:
            m.attach_tree(calls, context.tree(self.key), self.staging)
        calls.add(SYS.chdir, encode(self.staging), path=self.staging)
        if self.no_pivot and not self.is_shared:
            calls.python(lambda _: _cover_root(self.staging))
        if self.is_shared or self.no_pivot:
            calls.add(SYS.chroot, b".", path=".")
        else:
            m.pivot_root_here(calls)
        calls.add(SYS.chdir, b"/", path="/")


def _unescape(field: str) -> str:
    """Return a path of mountinfo, where spaces and the like stand as octal numbers (proc(5))."""
    return os.fsdecode(os.fsencode(field).decode("unicode_escape").encode("latin-1"))


def _cover_root(staging: str) -> None:
    """Move a mount over the root. What is below it stays, without the kernel's file systems.

    With one of those in full somewhere in the mount namespace, a new user namespace inside could
    mount another, and have what is masked (mount_too_revealing of fs/namespace.c).

    Raises: OSError.
    """
    own = os.getcwd()
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        rows = [line.split(" ") for line in lines]
    for row in reversed(rows):
        path = _unescape(row[4])
        is_kernels = row[row.index("-") + 1] in ("proc", "sysfs")
        if is_kernels and path != own and not path.startswith(f"{own}/"):
            try:
                m.unmount(path)
            except OSError:  # one of another user namespace's is locked here
                m.mount("tmpfs", path, "tmpfs", 0)
    m.mount(staging, "/", None, _MOVE)


class VisitRoot(NamedTuple):
    """Make the working directory the root for a while, so that mounts can be made in it."""

    def describe(self) -> str:
        return "go into the root file system"

    def execute(self, context: Context) -> None:
        context.host_root = os.open("/", os.O_PATH | os.O_CLOEXEC)
        os.chroot(".")


class LeaveRoot(NamedTuple):
    """Have the host's root again, as what was the root is the working directory: for hooks."""

    def describe(self) -> str:
        return "leave the root file system"

    def execute(self, context: Context) -> None:
        inside = os.open("/", os.O_PATH | os.O_CLOEXEC)
        os.fchdir(context.host_root)
        os.chroot(".")
        os.fchdir(inside)
        os.close(inside)
        os.close(context.host_root)


class DetachMounts(NamedTuple):
    """Let go of mounts that came along with the host's root and are replaced by our own."""

    paths: list[str]

    def describe(self) -> str:
        return "detach the host's " + " ".join(self.paths)

    def execute(self, context: Context) -> None:
        for path in self.paths:
            with suppress(OSError):  # not a mount point
                while True:
                    m.unmount(path)


class SetRootReadonly(NamedTuple):
    """Make the root mount read-only, once all mount points are there."""

    def describe(self) -> str:
        return "make the root file system read-only"

    def prepare(self, context: Context) -> None:
        m.change_attributes(context.calls, "/", _ATTR_RDONLY, 0, recursive=False)


def escape_layer(path: str) -> str:
    """Escape what overlayfs would take for a separator in its options."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


STEPS = (
    DetachPropagation,
    KeepPrivate,
    CloneTree,
    SetTopWritable,
    MountOverlay,
    AttachRoot,
    EnterRoot,
    VisitRoot,
    LeaveRoot,
    DetachMounts,
    SetRootReadonly,
)
