"""Which mounts of a container no longer protect what its spec says: hidden and read-only paths, the
root, the options of volumes.

Called by observe, when a container's mountinfo is not as it was. What it says is enough where paths
have no symbolic links; else the path is opened. Sources: mount_namespaces(7), proc(5) (fdinfo).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from reconciler.control.mount_table import Mounted, MountTable, is_below
from reconciler.engine.own_mounts import (
    FRESH,
    covered_paths,
    locked_paths,
    masked_paths,
    needs_list,
    option_words,
)
from reconciler.linux.proc import read_file
from reconciler.model.config import Config, Mount, MountType
from reconciler.model.world import Weakened

_KERNELS = ("/proc/", "/sys/")
_OPPOSITES = {"ro": "rw", "nosuid": "suid", "nodev": "dev", "noexec": "exec"}


class Root:
    """The root of a process, and its mounts."""

    def __init__(self, pid: int, table: MountTable) -> None:
        self._pid = pid
        self.table = table

    def is_top_of_mount(self, path: str) -> tuple[bool, Mounted | None] | None:
        """Return whether something is mounted on a path, links followed, and which mount it is in.

        None when there is no such path, or the process has ended.
        """
        if path.startswith(_KERNELS) and not os.path.lexists(path):
            return None  # what this kernel has not it has nowhere
        from reconciler.linux.mount import open_in_root  # ctypes, which is slow to load

        try:
            root = os.open(f"/proc/{self._pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        fds = []
        try:
            fds.append(open_in_root(root, path, os.O_PATH))
            above = (
                f"{path}/.." if stat.S_ISDIR(os.fstat(fds[0]).st_mode) else os.path.dirname(path)
            )
            fds.append(open_in_root(root, above, os.O_PATH))
            own, outer = map(_mount_number, fds)
        except OSError:
            return None
        finally:
            for fd in (*fds, root):
                os.close(fd)
        return own != outer, self.table.get(own)

    def mount_on(self, path: str) -> Mounted | None:
        """Return what is mounted on a path, links followed; None when nothing is."""
        found = self.table.on(path)
        if found is not None:
            return found
        seen = self.is_top_of_mount(path)
        return seen[1] if seen is not None and seen[0] else None


def find_weakened(
    pid: int, config: Config, mountinfo: bytes, hidden: tuple[str, ...]
) -> tuple[Weakened, ...]:
    """Return what is not as the spec says; `hidden` are the host's directories that are masked."""
    if not mountinfo:
        return ()
    root = Root(pid, MountTable(mountinfo))
    masked = masked_paths(config)
    if config.rootfs.path is None:
        masked += tuple(path for path in hidden if not _is_in_fresh(root.table, path))
    return (
        *(
            Weakened(path=f"maskedPaths.{path}", desired="masked", observed="visible")
            for path in masked
            if not _is_masked(root, path)
        ),
        *(
            Weakened(path=f"readonlyPaths.{path}", desired="read-only", observed="writable")
            for path in locked_paths(config)
            if not _is_locked(root, path)
        ),
        *_root_mounts(config, root),
        *(found for mount in config.mounts for found in _options(mount, root)),
    )


def _is_in_fresh(table: MountTable, path: str) -> bool:
    """Tell whether a path is in a file system of the container's own: nothing of the host is."""
    found = table.at(path)
    return found is not None and found.kind == "tmpfs" and found.point in dict(FRESH)


def _is_masked(root: Root, path: str) -> bool:
    found = root.table.on(path)
    if found is not None:
        return found.is_mask()
    seen = root.is_top_of_mount(path)
    return seen is None or (seen[0] and seen[1] is not None and seen[1].is_mask())


def _is_locked(root: Root, path: str) -> bool:
    found = root.table.at(path)
    if found is not None and found.is_readonly():
        return True
    seen = root.is_top_of_mount(path)
    return seen is None or (seen[1] is not None and seen[1].is_readonly())


def _root_mounts(config: Config, root: Root) -> Iterator[Weakened]:
    """Yield what of the root file system can be written; where mounts are listed its top alone."""
    if not config.rootfs.readonly:
        return
    top = root.table.at("/")
    if top is not None and not top.is_readonly():
        yield Weakened(path="rootfs.readonly", desired=True, observed=False)
    if os.geteuid() != 0 or needs_list(config):
        return
    covered = covered_paths(config)
    found = [
        one.point
        for one in root.table
        if not (one.point == "/" or one.is_readonly() or one.is_null())
        and not any(is_below(one.point, path) for path in covered)
    ]
    if not found:
        return
    by_links = [mount.point for path in covered if (mount := root.mount_on(path)) is not None]
    for point in found:
        if not any(is_below(point, path) for path in by_links):
            yield Weakened(path=f"rootfs.readonly.{point}", desired=True, observed=False)


def _options(mount: Mount, root: Root) -> Iterator[Weakened]:
    """Yield the options of a volume that differ; one that is not there is told by other means."""
    found = root.mount_on(os.path.normpath(mount.target))
    if found is None:
        return
    wrong = [
        (word, is_set)
        for word, is_set in option_words(mount).items()
        if _has(found, word, mount.type) is not is_set
    ]
    if wrong:
        yield Weakened(
            path=f"mounts.{mount.target}",
            desired=",".join(word if is_set else _OPPOSITES[word] for word, is_set in wrong),
            observed=",".join(_OPPOSITES[word] if is_set else word for word, is_set in wrong),
            is_live=not (("ro", False) in wrong and found.is_filesystem_readonly()),
        )


def _has(found: Mounted, word: str, kind: MountType) -> bool:
    if word == "ro" and kind is MountType.TMPFS:
        return found.is_readonly()
    return found.has(word)


def _mount_number(fd: int) -> str:
    """Return the identity of the mount that a descriptor is in."""
    words = read_file(f"/proc/self/fdinfo/{fd}").split()
    return words[words.index(b"mnt_id:") + 1].decode()
