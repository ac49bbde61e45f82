"""The root file system of a container that has no mount namespace of its own.

It is mounted on itself among the host's mounts, with all that is mounted in it; when the container
is gone so must that be. Called by `create` and the verb `delete`. Source: runtime.md, Delete.
"""

from __future__ import annotations

import os

from reconciler.engine.container import Container
from reconciler.linux.mount import unmount
from reconciler.linux.proc import read_file
from reconciler.model.config import Config
from reconciler.model.isolation import NamespaceMode

_NOTE = "oci.rootMount"


def note_root(config: Config) -> dict[str, str]:
    """Return the note by which `release_root` knows what was mounted on the root before."""
    if config.isolation.namespaces.mount != NamespaceMode.HOST or config.rootfs.path is None:
        return {}
    return {_NOTE: _mount_id(config.rootfs.path)}


def release_root(container: Container) -> None:
    """Unmount what the container, which is gone, has left mounted. Raises: OSError."""
    before, path = container.annotations.get(_NOTE), container.config.rootfs.path
    if before and path and os.path.isdir(path) and _mount_id(path) != before:
        unmount(path)


def _mount_id(path: str) -> str:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        words = read_file(f"/proc/self/fdinfo/{fd}").split()
    finally:
        os.close(fd)
    return words[words.index(b"mnt_id:") + 1].decode()
