"""Mounts: mount(2), the new mount API, pivot_root and safe look-ups inside a root.

Called by the set-up steps. Sources: mount(2), mount_setattr(2), open_tree(2) and
move_mount(2) (include/uapi/linux/mount.h), pivot_root(2), openat2(2). Needs Linux 5.12.
"""

from __future__ import annotations

import os
import struct

from reconciler.lean import IntFlag
from reconciler.linux.calls import AT_FDCWD, SYS, Calls, Fd, Jumps, encode
from reconciler.linux.libc import check, libc, mount_setattr, move_mount, open_tree, openat2


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


def change_propagation(calls: Calls, path: str, flags: int) -> None:
    """Add to `calls` what sets the propagation of mounts, as mount(2) takes it."""
    calls.add(SYS.mount, None, encode(path), None, flags, None, path=path)


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    """Call umount2(2), lazily unless told otherwise. Raises: OSError."""
    check(libc.umount2(os.fsencode(target), flags), target)


def clone_tree(calls: Calls, path: str, keep: Fd, *, recursive: bool) -> None:
    """Add to `calls` what makes a detached copy of the mount at `path` (open_tree(2))."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    calls.add(SYS.open_tree, AT_FDCWD, encode(path), flags, keep=keep, path=path)


def clone_open_tree(calls: Calls, fd: Fd, keep: Fd, *, recursive: bool, path: str) -> None:
    """Add to `calls` a detached copy of the mount that `fd` is in, from there on (`path`)."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH
    flags |= AT_RECURSIVE if recursive else 0
    calls.add(SYS.open_tree, fd, b"", flags, keep=keep, path=path)


def attach_tree(calls: Calls, tree: Fd, target: str) -> None:
    """Add to `calls` what mounts a detached tree on `target` and lets go of it."""
    where = (AT_FDCWD, encode(target))
    calls.add(SYS.move_mount, tree, b"", *where, MOVE_MOUNT_F_EMPTY_PATH, path=target)
    calls.close(tree)


def attach_tree_on(calls: Calls, tree: Fd, target: Fd, path: str) -> None:
    """Add to `calls` what mounts a detached tree on what is open as `target`, which is `path`."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    calls.add(SYS.move_mount, tree, b"", target, b"", flags, path=path)


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


def new_filesystem(
    calls: Calls, fs_type: str, source: str | None, words: list[str], attributes: int, keep: Fd
) -> None:
    """Add to `calls` what makes a detached mount of a new file system instance.

    `words` are options of the file system itself, `NAME` or `NAME=VALUE`; `attributes` are bits
    of MountAttr. Source: fsopen(2), fsconfig(2), fsmount(2). Errors have the option, or the type,
    as path.
    """
    context = calls.fd()
    calls.add(SYS.fsopen, encode(fs_type), FSOPEN_CLOEXEC, keep=context, path=fs_type)
    for word in words if source is None else [f"source={source}", *words]:
        name, equals, value = word.partition("=")
        command = FSCONFIG_SET_STRING if equals else FSCONFIG_SET_FLAG
        given = encode(value) if equals else None
        calls.add(SYS.fsconfig, context, command, encode(name), given, 0, path=word)
    calls.add(SYS.fsconfig, context, FSCONFIG_CMD_CREATE, None, None, 0, path=fs_type)
    calls.add(SYS.fsmount, context, FSMOUNT_CLOEXEC, attributes, keep=keep, path=fs_type)
    calls.close(context)


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
    attr = _pack_attributes(add, clear, propagation, userns_fd)
    flags = AT_RECURSIVE if recursive else 0
    if isinstance(where, int):
        check(mount_setattr(where, b"", flags | AT_EMPTY_PATH, attr, len(attr)))
    else:
        check(mount_setattr(AT_FDCWD, os.fsencode(where), flags, attr, len(attr)), where)


def change_attributes(
    calls: Calls, where: Fd | str, add: int, clear: int, recursive: bool, propagation: int = 0
) -> None:
    """Add to `calls` what `set_mount_attributes` does."""
    attr = _pack_attributes(add, clear, propagation, 0)
    flags = AT_RECURSIVE if recursive else 0
    if isinstance(where, str):
        place = (AT_FDCWD, encode(where), flags)
        calls.add(SYS.mount_setattr, *place, attr, len(attr), path=where)
    else:
        flags |= AT_EMPTY_PATH
        calls.add(SYS.mount_setattr, where, b"", flags, attr, len(attr))


def _pack_attributes(add: int, clear: int, propagation: int, userns_fd: int) -> bytes:
    # The choices of access times are one field: it is set or cleared as a whole.
    atime = _MOUNT_ATTR_ATIME if (add | clear) & _ATIME_CHOICES else 0
    return struct.pack("=4Q", add, clear | atime, propagation, userns_fd)


def pivot_root_here(calls: Calls) -> None:
    """Add to `calls` what makes the current directory (a mount point) the root.

    The trick of pivot_root(2): `pivot_root(".", ".")` stacks the old root on the new one,
    from where it is unmounted.
    """
    calls.add(SYS.pivot_root, b".", b".", path="/")
    calls.add(SYS.umount2, b".", MNT_DETACH, path=".")


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


def open_place(
    calls: Calls, top: Fd | None, path: str, flags: int, keep: Fd, jumps: Jumps | None = None
) -> None:
    """Add to `calls` an `open_beneath` a descriptor or, without one, an `open_in_root` of `/`."""
    resolve = RESOLVE_NO_MAGICLINKS | (RESOLVE_IN_ROOT if top is None else RESOLVE_BENEATH)
    how = struct.pack("=3Q", flags | os.O_CLOEXEC, 0, resolve)
    where = (AT_FDCWD if top is None else top, encode(path.lstrip("/") or "."))
    calls.add(SYS.openat2, *where, how, len(how), keep=keep, jumps=jumps, path=path)
