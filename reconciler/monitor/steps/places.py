"""Places in the container's root that steps mount on or make things in, held as descriptors.

Called by the steps after the pivot, when the root is `/` and the working directory. Others may
write to the same file system and exchange names meanwhile (CVE-2021-30465, CVE-2019-19921):

- nothing is named twice: what was opened, without magic links, is what is used;
- below /proc, /sys and a fresh /dev one goes by the mount itself, which the step that made it
  left in `Context.anchors`, whatever those names lead to by now (CVE-2025-31133).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from reconciler.lean import partial, suppress
from reconciler.linux import mount as m
from reconciler.linux.calls import AT_FDCWD, SYS, Fd, Jumps
from reconciler.monitor.steps.context import Context

ANCHORED = ("/proc", "/sys", "/dev")
_HERE = AT_FDCWD
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NULL_DEVICE = os.makedev(1, 3)
_PTMX_DEVICE = os.makedev(5, 2)


def open_place(context: Context, path: str, *, is_plain: bool = False) -> int:
    """Return an O_PATH descriptor of `path`. With `is_plain` it may not be a symbolic link.

    Raises: OSError with the path.
    """
    if path in context.anchors:
        return os.dup(context.anchors[path])
    fd = _open(context, path, os.O_PATH | (os.O_NOFOLLOW if is_plain else 0))
    if is_plain and stat.S_ISLNK(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.ENOTDIR, "it must be a directory and is a symbolic link", path)
    return fd


def make_place(context: Context, path: str, *, is_directory: bool, is_plain: bool = False) -> int:
    """Return an O_PATH descriptor of a mount point, made where it is missing.

    So are the directories above it; a dangling link is followed inside the root.

    Raises: OSError with the path.
    """
    try:
        return open_place(context, path, is_plain=is_plain)
    except FileNotFoundError:
        pass  # it is made now
    parent, name = os.path.split(path) if is_plain else (path, "")
    real = os.path.join(os.path.realpath(parent), name).rstrip("/")
    fd = make_directories(context, real if is_directory else os.path.dirname(real))
    if is_directory:
        return fd
    try:
        name = os.path.basename(real)
        with suppress(FileExistsError):
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=fd))
        return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    finally:
        os.close(fd)


def make_directories(context: Context, path: str) -> int:
    """Return an O_PATH descriptor of a directory without links in its path, made where missing.

    Raises: OSError with the part that is none.
    """
    top, below = _anchor_of(context, path)
    fd = os.open("/", _DIRECTORY) if top is None else os.dup(top)
    try:
        for part in filter(None, below.split("/")):
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=fd)
            inner = os.open(part, _DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return fd


def prepare_place(
    context: Context, path: str, jumps: Jumps | None = None, flags: int = os.O_PATH
) -> Fd:
    """Add the calls that open `path`; return where its descriptor will be."""
    found = next((top for top in context.anchored if path == top or path.startswith(top + "/")), "")
    fd = context.calls.fd()
    top = context.anchor(found) if found else None
    m.open_place(context.calls, top, path[len(found) :], flags, fd, jumps)
    return fd


def prepare_plain_place(context: Context, path: str) -> Fd:
    """Add the calls that open a directory which may not be a symbolic link."""
    calls = context.calls
    with calls.block() as opened:
        with calls.block() as refused:
            flags = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY
            fd = prepare_place(context, path, {errno.ENOTDIR: refused}, flags)
            calls.jump(opened)
        calls.python(partial(_refuse, path))
    return fd


def _refuse(path: str, _: Context) -> None:
    what = "is a symbolic link" if os.path.islink(path) else "is none"
    raise OSError(errno.ENOTDIR, f"it must be a directory and {what}", path)


def prepare_null_device(context: Context, flags: int) -> Fd:
    """Add the calls that open the null device, and refuse anything else in its place."""
    fd = prepare_place(context, "/dev/null", None, flags | os.O_NOFOLLOW)
    context.calls.python(partial(_check_null, fd))
    return fd


def _check_null(fd: Fd, context: Context) -> None:
    problem = "/dev/null is not the null device"
    _check_device(context.fds[fd.slot], _NULL_DEVICE, problem, "/dev/null")


def prepare_redirection(context: Context, fd: Fd, target: int) -> None:
    """Add the calls that move a descriptor to the number of a standard stream."""
    context.calls.add(SYS.dup3, fd, target, 0)
    context.calls.close(fd)


def take_own_null(context: Context, fd: int) -> None:
    """Have the container's own null device where `fd` is the host's, if it has one."""
    found = os.fstat(fd)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != _NULL_DEVICE:
        return
    mode = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    with suppress(OSError):
        own = _open(context, "/dev/null", mode | os.O_NOFOLLOW | os.O_CLOEXEC)
        _check_device(own, _NULL_DEVICE, "/dev/null is not the null device", "/dev/null")
        os.dup2(own, fd)
        os.close(own)


def open_terminal_master(context: Context) -> int:
    """Return the master of a new terminal of the container's own. Raises: OSError with the path."""
    path = "/dev/pts/ptmx"
    fd = _open(context, path, os.O_RDWR | os.O_NOCTTY | os.O_NOFOLLOW)
    _check_device(fd, _PTMX_DEVICE, "it is not the terminal multiplexer", path)
    return fd


def _check_device(fd: int, number: int, problem: str, path: str) -> None:
    found = os.fstat(fd)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != number:
        os.close(fd)
        raise OSError(errno.EINVAL, problem, path)


def attach(tree: int, target: int, path: str) -> None:
    """Mount a detached tree on `target`, which is `path`. Raises: OSError with the path."""
    try:
        m.attach_tree_at(tree, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _open(context: Context, path: str, flags: int) -> int:
    top, below = _anchor_of(context, path)
    if top is None:
        return m.open_in_root(_HERE, path, flags)
    return m.open_beneath(top, below, flags)


def _anchor_of(context: Context, path: str) -> tuple[int | None, str]:
    """Return the mount that a path goes by, None for the root, and the path below it."""
    for top, fd in context.anchors.items():
        if path == top or path.startswith(top + "/"):
            return fd, path[len(top) :].strip("/")
    return None, path
