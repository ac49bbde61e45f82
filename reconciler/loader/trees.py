"""What a file or a directory with all that is in it holds, as one digest.

Called by `reader` for the sources of bind mounts. A symbolic link counts as its text, except the
path itself, which is followed as mount(8) follows it. FIFOs, sockets and devices count as what
they are and are never opened: files are opened O_PATH first, and for reading only once they are
known to be regular. It may not know what refers to the tree.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from reconciler.errors.codes import ErrorCode
from reconciler.loader.sources import FileTrouble, Stamp
from reconciler.model.text import printable

MAX_ENTRIES = 10_000
MAX_BYTES = 64 * 2**20
MAX_DEPTH = 100  # a directory stays open on each level
_MAX_READS = 3  # a tree that is written to all the time must not hold up everything
_CHUNK_BYTES = 2**20
_O_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class _Item(NamedTuple):
    """Something in a tree: its path in it, what stat says, and the descriptor that it hangs on."""

    path: str
    stat: os.stat_result
    parent_fd: int | None
    name: str


def stat_tree(top: str) -> Stamp | None:
    """Return what changes when anything in a tree changes, None when there is none.

    It has the newest times, the sum of sizes, and in the place of inode and device a checksum of
    all stamps, and how many they are.

    Raises: FileTrouble when it is there and cannot be looked at.
    """
    import hashlib

    checksum = hashlib.sha256()
    mtime_ns = ctime_ns = size = count = 0
    for item in _walk(top):
        found = item.stat
        mtime_ns, ctime_ns = max(mtime_ns, found.st_mtime_ns), max(ctime_ns, found.st_ctime_ns)
        size += found.st_size
        count += 1
        stamp = found.st_mode, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
        checksum.update(f"{item.path}\0{stamp}\0".encode(errors="surrogateescape"))
    if count == 0:
        return None
    return mtime_ns, ctime_ns, size, int.from_bytes(checksum.digest()[:7]), count


def read_tree(top: str) -> tuple[Stamp, str] | None:
    """Return a tree's stamp and the SHA-256 of all names and contents, None when there is none.

    It is read again if it changes meanwhile.

    Raises: FileTrouble when it is there and cannot be read.
    """
    stamp = stat_tree(top)
    for _ in range(_MAX_READS):
        digest = _digest(top)
        before, stamp = stamp, stat_tree(top)
        if stamp == before:
            break
    return None if stamp is None else (stamp, digest)


def _digest(top: str) -> str:
    import hashlib

    digest = hashlib.sha256()
    left = MAX_BYTES
    for item in _walk(top):
        kind = stat.S_IFMT(item.stat.st_mode)
        digest.update(f"{kind:o}\0{item.path}\0".encode(errors="surrogateescape"))
        content = hashlib.sha256()
        if kind == stat.S_IFREG:
            for chunk in _read(item, top):
                left -= len(chunk)
                if left < 0:
                    raise _too_much(top, f"more than {MAX_BYTES >> 20}Mi")
                content.update(chunk)
        elif kind == stat.S_IFLNK:
            content.update(os.fsencode(_read_link(item)))
        digest.update(content.digest())
    return digest.hexdigest()


def _read(item: _Item, top: str) -> Iterator[bytes]:
    """Yield the content of a regular file; nothing if it is no such file any more."""
    try:
        path_fd = os.open(item.name, _open_flags(item), dir_fd=item.parent_fd)
        try:
            if not stat.S_ISREG(os.fstat(path_fd).st_mode):
                return
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            fd = os.open(f"/proc/self/fd/{path_fd}", flags)
        finally:
            os.close(path_fd)
        try:
            while chunk := os.read(fd, _CHUNK_BYTES):
                yield chunk
        finally:
            os.close(fd)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _trouble(error, top, item.path) from None


def _read_link(item: _Item) -> str:
    try:
        return os.readlink(item.name, dir_fd=item.parent_fd)
    except OSError:  # gone, or no link any more: its directory's stamp tells
        return ""


def _open_flags(item: _Item) -> int:
    return _O_PATH if item.path else os.O_PATH | os.O_CLOEXEC


def _walk(top: str) -> Iterator[_Item]:
    """Yield the tree's top (its path is ""), then what is in it in the order of names.

    Raises: FileTrouble when there is too much of it, or it cannot be read.
    """
    try:
        found = os.stat(top)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _trouble(error, top, "") from None
    size = 0
    for count, item in enumerate(_walk_from(_Item("", found, None, top), top, 0), 1):
        size += item.stat.st_size if stat.S_ISREG(item.stat.st_mode) else 0
        if count > MAX_ENTRIES:
            raise _too_much(top, f"more than {MAX_ENTRIES} entries")
        if size > MAX_BYTES:
            raise _too_much(top, f"more than {MAX_BYTES >> 20}Mi")
        yield item


def _walk_from(item: _Item, top: str, depth: int) -> Iterator[_Item]:
    yield item
    if not stat.S_ISDIR(item.stat.st_mode):
        return
    if depth > MAX_DEPTH:
        raise _too_much(top, f"more than {MAX_DEPTH} levels of directories")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if item.path else 0)
    try:
        fd = os.open(item.name, flags, dir_fd=item.parent_fd)
    except (FileNotFoundError, NotADirectoryError):  # gone since
        return
    except OSError as error:
        raise _trouble(error, top, item.path) from None
    try:
        for name in sorted(_names(fd, item, top)):
            path = f"{item.path}/{name}" if item.path else name
            try:
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield from _walk_from(_Item(path, found, fd, name), top, depth + 1)
    finally:
        os.close(fd)


def _names(fd: int, item: _Item, top: str) -> list[str]:
    names = []
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > MAX_ENTRIES:
                    raise _too_much(top, f"more than {MAX_ENTRIES} entries")
    except OSError as error:
        raise _trouble(error, top, item.path) from None
    return names


def _trouble(error: OSError, top: str, path: str) -> FileTrouble:
    cause = (error.strerror or "unknown error").lower()
    shown = printable(os.path.join(top, path) if path else top)
    message = f"cannot read {shown}: {cause}"
    return FileTrouble(ErrorCode.SpecUnreadable, message)


def _too_much(top: str, what: str) -> FileTrouble:
    message = (
        f"cannot look for changes in {printable(top)}: it has {what};"
        " mount less of it, or leave onChange out"
    )
    return FileTrouble(ErrorCode.SpecTooLarge, message)
