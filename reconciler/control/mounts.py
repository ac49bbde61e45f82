"""Which mounts of a container show something else than their source is by now.

Called by observe. A bind mount shows a file or directory for as long as it is mounted, also when
another one has taken its place: an editor or a tool that writes `FILE.tmp` and renames it over
`FILE` makes a new file that the container does not see (mount(2), rename(2)).
"""

from __future__ import annotations

import os

from reconciler.model.spec import ReactionKind, Spec

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
