"""Mounts: mount(2), the new mount API, pivot_root and safe look-ups inside a root.

Called by the set-up steps. Sources: mount(2), mount_setattr(2), open_tree(2) and
move_mount(2) (include/uapi/linux/mount.h), pivot_root(2), openat2(2). Needs Linux 5.12.
"""

from __future__ import annotations

import os
import struct

from reconciler.lean import IntFlag
from reconciler.linux.libc import (
    check,
    fsconfig,
    fsmount,
    fsopen,
    libc,
    mount_setattr,
    move_mount,
    open_tree,
    openat2,
    pivot_root,
)


class MountFlag(IntFlag):
    """MS_* of linux/mount.h."""

    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    REMOUNT = 32
    NOATIME = 1024
    BIND = 4096
    REC = 16384
    MOVE = 8192
    UNBINDABLE = 1 << 17
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20
    RELATIME = 1 << 21
    STRICTATIME = 1 << 24


class MountAttr(IntFlag):
    """MOUNT_ATTR_* of linux/mount.h."""

    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    NOATIME = 0x10
    STRICTATIME = 0x20
    NODIRATIME = 0x80
    IDMAP = 0x100000
    NOSYMFOLLOW = 0x200000


AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 0, 1, 6
MNT_DETACH = 2
RESOLVE_NO_XDEV = 1
RESOLVE_NO_MAGICLINKS = 2
RESOLVE_BENEATH = 8
RESOLVE_IN_ROOT = 16
_MOUNT_ATTR_ATIME = 0x70
_ATIME_CHOICES = int(MountAttr.NOATIME | MountAttr.STRICTATIME)


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


def attach_tree_at(tree_fd: int, target_fd: int) -> None:
    """Mount a detached tree on what is open as `target_fd` (move_mount(2)). Raises: OSError."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    check(move_mount(tree_fd, b"", target_fd, b"", flags))


def clone_tree_at(fd: int, *, recursive: bool) -> int:
    """Return the fd of a detached copy of the mount that `fd` is in, from there on.

    Source: open_tree(2). Raises: OSError.
    """
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH
    return check(open_tree(fd, b"", flags | (AT_RECURSIVE if recursive else 0)))


def new_filesystem(fs_type: str, source: str | None, words: list[str], attributes: int) -> int:
    """Return the fd of a detached mount of a new file system instance.

    `words` are options of the file system itself, `NAME` or `NAME=VALUE`; `attributes` are bits
    of MountAttr. Source: fsopen(2), fsconfig(2), fsmount(2).

    Raises: OSError with the option, or the type, as path.
    """
    context = check(fsopen(os.fsencode(fs_type), FSOPEN_CLOEXEC), fs_type)
    try:
        if source is not None:
            _configure(context, "source", source)
        for word in words:
            name, equals, value = word.partition("=")
            _configure(context, name, value if equals else None)
        check(fsconfig(context, FSCONFIG_CMD_CREATE, None, None, 0), fs_type)
        return check(fsmount(context, FSMOUNT_CLOEXEC, attributes), fs_type)
    finally:
        os.close(context)


def _configure(context: int, name: str, value: str | None) -> None:
    key, path = os.fsencode(name), name if value is None else f"{name}={value}"
    if value is None:
        check(fsconfig(context, FSCONFIG_SET_FLAG, key, None, 0), path)
    else:
        check(fsconfig(context, FSCONFIG_SET_STRING, key, os.fsencode(value), 0), path)


def set_mount_attributes(
    where: int | str,
    add: int,
    clear: int = 0,
    *,
    recursive: bool,
    propagation: int = 0,
    userns_fd: int = 0,
) -> None:
    """Set and clear attributes (bits of MountAttr) of a mount, given by fd or path.

    `propagation` is one of MountFlag's SHARED, SLAVE, PRIVATE, UNBINDABLE; `userns_fd` goes
    with IDMAP. Source: mount_setattr(2). Raises: OSError.
    """
    # The choices of access times are one field: it is set or cleared as a whole.
    atime = _MOUNT_ATTR_ATIME if (add | clear) & _ATIME_CHOICES else 0
    attr = struct.pack("=4Q", add, clear | atime, propagation, userns_fd)
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
    return _open(root_fd, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def open_beneath(top_fd: int, path: str, flags: int, *, in_one_mount: bool = False) -> int:
    """Open `path` below `top_fd`, no link or `..` leading out of it (openat2(2)).

    Raises: OSError with the path.
    """
    resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (RESOLVE_NO_XDEV if in_one_mount else 0)
    return _open(top_fd, path, flags, resolve)


def _open(top_fd: int, path: str, flags: int, resolve: int) -> int:
    how = struct.pack("=3Q", flags | os.O_CLOEXEC, 0, resolve)
    encoded = os.fsencode(path.lstrip("/") or ".")
    return check(openat2(top_fd, encoded, how, len(how)), path)
