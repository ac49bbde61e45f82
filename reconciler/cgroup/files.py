"""All file I/O on cgroup file systems, with path and data in every error.

Called by every module of `cgroup`, the monitor's part included, so it imports only the
standard library. Observing 1,000 containers reads some 15,000 files through `read_text`:
raw system calls, no file objects. It knows nothing of what the files mean.
"""

from __future__ import annotations

import os
from _thread import _local

from reconciler.lean import Callable

READ = os.O_RDONLY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CLOEXEC
CHUNK_BYTES = 65536
_SURELY_WHOLE_BYTES = 2048


class _Watchers(_local):
    """Who is told of what this thread reads: see `readings`."""

    note: Callable[[str, bytes | None], None] | None = None


watchers = _Watchers()


def read_text(path: str) -> str:
    """Return the whole content of a file.

    Lists (cgroup.procs) come in pieces of about one page, so a long text is read to its end;
    a short one is whole, and asking for more would cost a tenth of the time.

    Raises: OSError with the path.
    """
    fd = os.open(path, READ)
    try:
        data = piece = os.read(fd, CHUNK_BYTES)
        while len(piece) > _SURELY_WHOLE_BYTES:
            piece = os.read(fd, CHUNK_BYTES)
            data += piece
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(fd)
    if watchers.note is not None:
        watchers.note(path, data)
    return data.decode()


def read_optional(path: str) -> str | None:
    """Return the content of a file, None where the kernel has no such file.

    Raises: OSError with the path.
    """
    try:
        return read_text(path)
    except FileNotFoundError:
        if watchers.note is not None:
            watchers.note(path, None)
        return None


def write_text(path: str, data: str) -> None:
    """Write `data` in one write(2), as cgroup files demand.

    Raises: OSError with the path and the data.
    """
    try:
        fd = os.open(path, _WRITE)
        try:
            os.write(fd, data.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} (writing {data!r})", path) from error


def mkdir(path: str) -> bool:
    """Make a cgroup; return False when it was there already.

    Raises: OSError with the path.
    """
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        return False
    return True


def rmdir(path: str) -> bool:
    """Remove an empty cgroup; return False when it was gone already.

    Raises: OSError with the path; EBUSY while tasks or nested cgroups are in it.
    """
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return False
    return True


def exists(path: str) -> bool:
    """Tell whether a file or directory is there."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def read_flat(path: str) -> dict[str, int]:
    """Return a flat keyed file (`KEY NUMBER` lines: memory.stat, cpu.stat) as a dict.

    Raises: OSError with the path.
    """
    pairs = (line.split() for line in read_text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
