"""Mounts: mount(2), the new mount API, pivot_root and safe look-ups inside a root.

Called by the set-up steps. Sources: mount(2), mount_setattr(2), open_tree(2) and
move_mount(2) (include/uapi/linux/mount.h), pivot_root(2), openat2(2). Needs Linux 5.12.
"""

from __future__ import annotations

import enum
import os
import struct

from reconciler.linux.libc import (
    check,
    libc,
    mount_setattr,
    move_mount,
    open_tree,
    openat2,
    pivot_root,
)


class MountFlag(enum.IntFlag):
    """MS_* of linux/mount.h."""

    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    REMOUNT = 32
    NOATIME = 1024
    BIND = 4096
    REC = 16384
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    RELATIME = 1 << 21
    STRICTATIME = 1 << 24


class MountAttr(enum.IntFlag):
    """MOUNT_ATTR_* of linux/mount.h."""

    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    NOATIME = 0x10


AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4
MNT_DETACH = 2
RESOLVE_NO_MAGICLINKS = 2
RESOLVE_IN_ROOT = 16
_MOUNT_ATTR_ATIME = 0x70
_NOATIME = int(MountAttr.NOATIME)


def mount(
    source: str | None, target: str, fs_type: str | None, flags: int, data: str | None = None
) -> None:
    """Call mount(2). Raises: OSError with the target as path."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, fs_type, data)]
    check(libc.mount(encoded[0], os.fsencode(target), encoded[1], flags, encoded[2]), target)


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    """Call umount2(2), lazily unless told otherwise. Raises: OSError."""
    check(libc.umount2(os.fsencode(target), flags), target)


def clone_tree(path: str, *, recursive: bool) -> int:
    """Return the fd of a detached copy of the mount at `path` (open_tree(2)).

    Raises: OSError with the path.
    """
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return check(open_tree(AT_FDCWD, os.fsencode(path), flags), path)


def attach_tree(tree_fd: int, target: str) -> None:
    """Mount a detached tree on `target` (move_mount(2)). Raises: OSError."""
    encoded = os.fsencode(target)
    check(move_mount(tree_fd, b"", AT_FDCWD, encoded, MOVE_MOUNT_F_EMPTY_PATH), target)


def set_mount_attributes(where: int | str, add: int, clear: int = 0, *, recursive: bool) -> None:
    """Set and clear attributes (bits of MountAttr) of a mount, given by fd or path.

    Source: mount_setattr(2). Raises: OSError.
    """
    atime = _MOUNT_ATTR_ATIME if add & _NOATIME else 0
    attr = struct.pack("=4Q", add, clear | atime, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    if isinstance(where, int):
        check(mount_setattr(where, b"", flags | AT_EMPTY_PATH, attr, len(attr)))
    else:
        check(mount_setattr(AT_FDCWD, os.fsencode(where), flags, attr, len(attr)), where)


def pivot_root_here() -> None:
    """Make the current directory (a mount point) the root and let go of the old root.

    The trick of pivot_root(2): `pivot_root(".", ".")` stacks the old root on the new one,
    from where it is unmounted. Raises: OSError.
    """
    check(pivot_root(b".", b"."), "/")
    unmount(".")


def open_in_root(root_fd: int, path: str, flags: int) -> int:
    """Open `path` as if `root_fd` were `/`: no symlink leads outside (openat2(2)).

    Raises: OSError with the path.
    """
    how = struct.pack("=3Q", flags | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    encoded = os.fsencode(path.lstrip("/") or ".")
    return check(openat2(root_fd, encoded, how, len(how)), path)
