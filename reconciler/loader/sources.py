"""Source directories and their files: which of them count, and reading them without blocking.

Called by `look`, `layers` and `reader`. Symbolic links are followed; FIFOs, sockets and devices
are never opened. It may not know what is in a file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from reconciler.errors.codes import ErrorCode
from reconciler.loader.writers import warn_of_writers
from reconciler.model.frozen import frozen
from reconciler.model.world import Source, SourceStatus

ENDINGS = (".yaml", ".yml", ".json")
MAX_BYTES = 2**20
COMMON = "container.d"
_DROP_IN_ENDINGS = tuple(f"{ending}.d" for ending in ENDINGS)
_NULL = os.makedev(1, 3)

Stamp = tuple[int, int, int, int, int]
"""What changes when a file changes: mtime_ns, ctime_ns, size, inode, device."""

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class FileTrouble(Exception):
    """A file or a source is there and cannot be taken."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@frozen
class Listing:
    """A source, its files in order of their names, and what is wrong with it.

    `drop_in_dirs` are `NAME.yaml.d` and `container.d` in it or, for a file, beside it.
    """

    source: Source
    files: tuple[str, ...] = ()
    drop_in_dirs: tuple[str, ...] = ()
    is_directory: bool = True
    trouble: FileTrouble | None = None


def is_spec_file(name: str) -> bool:
    """Tell whether a file of this name counts: no hidden file, no editor's backup or lock."""
    return name.endswith(ENDINGS) and not name.startswith((".", "#", "~"))


def stem_of(file: str) -> str:
    """Return the name that a file gives: `web` for web.yaml, web.json and web.yaml.d."""
    return os.path.splitext(os.path.basename(file).removesuffix(".d"))[0]


def identify_source(path: str) -> str:
    """Return the identity of a source: a directory's real path, a file's name in it."""
    path = os.path.abspath(path)
    try:
        if os.path.isdir(path):
            return os.path.realpath(path)
        return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    except (OSError, ValueError):  # a NUL in the path: it names nothing
        return path


def _hint_for(identity: str) -> str:
    """Return what may be meant by a path that does not exist."""
    stem = os.path.splitext(identity)[0]
    for path in (stem + ending for ending in ENDINGS):
        if os.path.exists(path):
            return f"; did you mean {path}?"
    return "; make it, or name the directory or file that has the specs"


def list_source(identity: str) -> Listing:
    """Return the files of a source directory, or the one file that the source is."""
    status = SourceStatus.MISSING
    try:
        if stat.S_ISDIR(os.stat(identity).st_mode):
            return _list_directory(identity)
        return Listing(
            source=Source(path=identity),
            files=(identity,),
            drop_in_dirs=_drop_in_dirs_beside(identity),
            is_directory=False,
        )
    except FileNotFoundError:
        hint = _hint_for(identity)
        trouble = FileTrouble(
            ErrorCode.SourceMissing, f"cannot read source: it does not exist{hint}"
        )
    except (OSError, ValueError) as error:
        status = SourceStatus.UNREADABLE
        cause = (error.strerror or "unknown error") if isinstance(error, OSError) else str(error)
        trouble = FileTrouble(ErrorCode.SourceUnreadable, f"cannot read source: {cause.lower()}")
    return Listing(source=Source(path=identity, status=status), trouble=trouble)


def _list_directory(identity: str) -> Listing:
    files, directories = [], []
    with os.scandir(identity) as entries:
        for entry in entries:
            if is_spec_file(entry.name):
                if not _is_directory(entry):
                    files.append(entry.name)
            elif is_drop_in_dir(entry.name) and _is_directory(entry):
                directories.append(entry.name)
    return Listing(
        source=Source(path=identity),
        files=tuple(os.path.join(identity, name) for name in sorted(files)),
        drop_in_dirs=tuple(os.path.join(identity, name) for name in sorted(directories)),
    )


def is_drop_in_dir(name: str) -> bool:
    """Tell whether a directory of this name holds drop-ins: NAME.yaml.d or container.d."""
    return name == COMMON or (name.endswith(_DROP_IN_ENDINGS) and is_spec_file(name[:-2]))


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links: to be told of as a file
        return False


def _drop_in_dirs_beside(file: str) -> tuple[str, ...]:
    base = os.path.splitext(file)[0]
    common = os.path.join(os.path.dirname(file), COMMON)
    return tuple(filter(os.path.isdir, [common, *(base + end for end in _DROP_IN_ENDINGS)]))


def list_drop_ins(directory: str) -> list[str]:
    """Return the names of the files in a directory of drop-ins; none when it is gone.

    Raises: FileTrouble (SpecUnreadable) when it cannot be read.
    """
    try:
        with os.scandir(directory) as entries:
            return sorted(e.name for e in entries if is_spec_file(e.name) and not _is_directory(e))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        cause = (error.strerror or "unknown error").lower()
        message = f"cannot read the drop-ins: {cause}"
        raise FileTrouble(ErrorCode.SpecUnreadable, message) from None


def is_null(file: str) -> bool:
    """Tell whether the file is /dev/null, by way of a link as a rule: it masks."""
    try:
        found = os.stat(file)
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == _NULL


def find_mask(sources: Sequence[str], name: str) -> str | None:
    """Return the file that masks a name in directories, of which the last has the last word."""
    mask, has_lower = None, False
    for source in sources:
        files = [os.path.join(source, name + ending) for ending in ENDINGS]
        for file in filter(os.path.exists, files):
            is_empty = os.path.isfile(file) and os.path.getsize(file) == 0
            is_mask = is_null(file) or (has_lower and is_empty)
            mask, has_lower = (file if is_mask else None), True
    return mask


def describe_mask(file: str) -> str:
    """Return what a mask does to a name, and how to undo it."""
    return f"{file} masks it, as an empty file or a link to /dev/null; to have it, remove that file"


def find_git_lock(source: str) -> str | None:
    """Return the lock that git holds while it replaces files here, None when it does not.

    git keeps `index.lock` from before it removes the first file of a checkout until after it
    has written the last (git-scm.com, api-lockfile).
    """
    lock = git_lock_path(source if os.path.isdir(source) else os.path.dirname(source))
    return lock if lock is not None and os.path.exists(lock) else None


def git_lock_path(directory: str) -> str | None:
    """Return where git would put its lock for a working tree's directory, None outside one."""
    while True:
        git = os.path.join(directory, ".git")
        if os.path.isdir(git):
            return os.path.join(git, "index.lock")
        if os.path.isfile(git):  # a linked working tree: `gitdir: PATH`
            return os.path.join(directory, _read_git_dir(git), "index.lock")
        if directory == (directory := os.path.dirname(directory)):
            return None


def _read_git_dir(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            return stream.readline(4096).removeprefix("gitdir:").strip("\n ")
    except OSError:  # then git cannot use it either
        return ""


def stat_file(file: str) -> Stamp | None:
    """Return the stamp of a spec file, or None when it is gone or a directory.

    Raises: FileTrouble (SpecUnreadable, SpecTooLarge) when it is there and cannot be taken.
    """
    if not file.isprintable():
        message = "cannot take file: its name has characters that cannot be printed"
        raise FileTrouble(ErrorCode.SpecUnreadable, message)
    try:
        found = os.stat(file)
    except FileNotFoundError:
        return _stat_broken_link(file)
    except OSError as error:
        raise _unreadable(error) from None
    if not stat.S_ISREG(found.st_mode):
        if stat.S_ISDIR(found.st_mode):
            return None
        raise _not_regular(found)
    _check_size(found)
    return _stamp(found)


def read_file(file: str) -> tuple[Stamp, bytes] | None:
    """Return the stamp and the content of a spec file, or None when it is gone.

    Raises: FileTrouble (SpecUnreadable, SpecTooLarge) when it is there and cannot be read.
    """
    try:
        # O_NONBLOCK: should a FIFO have taken the file's place since it was looked at.
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(error) from None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _not_regular(found)
        _check_size(found)
        warn_of_writers(file, found)
        return _stamp(found), _read_all(fd, found.st_size)
    except OSError as error:
        raise _unreadable(error) from None
    finally:
        os.close(fd)


def _read_all(fd: int, size: int) -> bytes:
    """Read to the end, wherever it is by now; `size` is what to expect."""
    content = b""
    while chunk := os.read(fd, max(size + 1 - len(content), 4096)):
        content += chunk
        if len(content) > MAX_BYTES:
            raise _too_large(len(content))
    return content


def _stat_broken_link(file: str) -> Stamp | None:
    try:
        target = os.readlink(file)
    except OSError:  # gone, or no link any more: the next pass sees what it has become
        return None
    try:  # the link may have been swapped between the two calls
        return _stamp(os.stat(file))
    except OSError:
        message = f"cannot read file: the link points to nothing ({target})"
        raise FileTrouble(ErrorCode.SpecUnreadable, message) from None


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


def _check_size(found: os.stat_result) -> None:
    if found.st_size > MAX_BYTES:
        raise _too_large(found.st_size)


def _too_large(size: int) -> FileTrouble:
    message = f"cannot read file: it has {size} bytes or more, the most is {MAX_BYTES} (1Mi)"
    return FileTrouble(ErrorCode.SpecTooLarge, message)


def _unreadable(error: OSError) -> FileTrouble:
    cause = (error.strerror or "unknown error").lower()
    return FileTrouble(ErrorCode.SpecUnreadable, f"cannot read file: {cause}")


def _not_regular(found: os.stat_result) -> FileTrouble:
    kind = next((name for test, name in _KINDS if test(found.st_mode)), "no regular file")
    return FileTrouble(ErrorCode.SpecUnreadable, f"cannot read file: it is {kind}")
