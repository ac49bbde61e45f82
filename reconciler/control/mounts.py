"""Which mounts of a container are gone, or show something else than their source is by now.

Called by observe. A bind mount shows a file or directory for as long as it is mounted, also when
another one has taken its place: an editor or a tool that writes `FILE.tmp` and renames it over
`FILE` makes a new file that the container does not see (mount(2), rename(2)).
"""

from __future__ import annotations

import errno
import os

from reconciler.engine.own_mounts import mount_points
from reconciler.linux.proc import read_file, read_lists
from reconciler.model.config import Config
from reconciler.model.isolation import Isolation, NamespaceMode
from reconciler.model.spec import ReactionKind, Spec

_PLAIN = Isolation()
_ASKED = (ReactionKind.SIGNAL, ReactionKind.EXEC)


def find_detached(pid: int, spec: Spec | None) -> frozenset[str]:
    """Return the sources that an init's mounts do not show, of those whose changes it is told of.

    A source that is gone, or cannot be looked at, is not among them.
    """
    told = {one.path for one in spec.references if one.reaction.kind in _ASKED} if spec else ()
    if spec is None or not told:
        return frozenset()
    mounts = [mount for mount in spec.config.mounts if mount.source in told]
    try:
        root_fd = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # it has ended
        return frozenset()
    try:
        return frozenset(
            mount.source
            for mount in mounts
            if mount.source is not None and not _is_shown(root_fd, mount.target, mount.source)
        )
    finally:
        os.close(root_fd)


def read_mounts(pid: int, config: Config) -> bytes:
    """Return an init's /proc/PID/mountinfo; nothing when it has ended, or may unmount by itself.

    That is one with the capability. Nor of one with mounts as an OCI config lists them, or the
    host's.

    Raises: OSError.
    """
    isolation = config.isolation
    is_listed = isolation is not _PLAIN and (
        isolation.mounts is not None or isolation.namespaces.mount != NamespaceMode.PRIVATE
    )
    if is_listed or "SYS_ADMIN" in config.security.capabilities:
        return b""
    try:
        return read_lists(f"/proc/{pid}/mountinfo")
    except (FileNotFoundError, ProcessLookupError):
        return b""
    except OSError as error:
        if error.errno == errno.EINVAL:  # it is ending, and has left its mount namespace
            return b""
        raise


def find_unmounted(pid: int, config: Config, mounts: bytes) -> tuple[str, ...]:
    """Return the directories of an init on which nothing is mounted any more.

    `mounts` is what `read_mounts` has read: its fifth column is the mount point as the process
    sees it (proc(5)).
    """
    there = {line.split(b" ", 5)[4] for line in mounts.split(b"\n") if line}
    missing = [path for path in mount_points(config) if os.fsencode(path) not in there]
    return tuple(path for path in missing if _is_unmounted(pid, path)) if there else ()


def _is_unmounted(pid: int, path: str) -> bool:
    """Tell whether a directory is there and in the same mount as the one above it.

    By its path alone it could be a link to another place, or have a name that is escaped.
    """
    from reconciler.linux.mount import open_in_root  # ctypes, which is slow to load

    try:
        root_fd = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # it has ended
        return False
    try:
        fds = [open_in_root(root_fd, one, os.O_PATH) for one in (path, f"{path}/..")]
    except OSError:  # this host has no such directory, and so nothing was mounted on it
        return False
    finally:
        os.close(root_fd)
    try:
        own, above = map(_mount_id, fds)
        return own == above
    finally:
        for fd in fds:
            os.close(fd)


def _mount_id(fd: int) -> bytes:
    """Return the identity of the mount that a descriptor is in (proc(5), fdinfo)."""
    words = read_file(f"/proc/self/fdinfo/{fd}").split()
    return words[words.index(b"mnt_id:") + 1]


def _is_shown(root_fd: int, target: str, source: str) -> bool:
    from reconciler.linux.mount import open_in_root  # ctypes, which is slow to load

    try:
        fd = open_in_root(root_fd, target, os.O_PATH)
        try:
            return os.path.samestat(os.fstat(fd), os.stat(source))
        finally:
            os.close(fd)
    except OSError:
        return True
