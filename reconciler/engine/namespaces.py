"""Which namespaces a Config asks for, and which of them a kernel parameter belongs to. Pure.

Called by the set-up, which makes and joins them, and by control, which looks whether they are so.
Cheap to load: no imports but the model. Sources: namespaces(7), sysctl(5), sysctl.d(5).
"""

from __future__ import annotations

from reconciler.model.config import Config, NetworkMode
from reconciler.model.isolation import NamespaceMode

_IPC_SYSCTLS = frozenset(
    f"kernel.{name}"
    for name in (
        *("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni"),
        "shm_rmid_forced",
    )
)


def mode_of(config: Config, name: str) -> str:
    """Return `private`, `host` or a path for a namespace by its name in `Namespaces`."""
    mode: str | None = getattr(config.isolation.namespaces, name)
    if mode is None:
        return NamespaceMode.HOST if config.network is NetworkMode.HOST else NamespaceMode.PRIVATE
    return mode


def joined_path(config: Config, name: str) -> str | None:
    """Return the path of a namespace that is joined, None when it is not."""
    mode = mode_of(config, name)
    return None if mode in tuple(NamespaceMode) else mode


def dotted_name(name: str) -> str:
    """Return a kernel parameter's name with dots where it has slashes (sysctl.d(5))."""
    separator = next((char for char in name if char in "./"), ".")
    return name if separator == "." else name.translate({ord("/"): ".", ord("."): "/"})


def owner_of(name: str) -> str | None:
    """Return the namespace that a kernel parameter (dotted) belongs to, None for the host's."""
    if any(part in ("", "..") for part in name.replace(".", "/").split("/")):
        return None
    if name.startswith("net."):
        return "network"
    if name in _IPC_SYSCTLS or name.startswith("fs.mqueue."):
        return "ipc"
    return "uts" if name == "kernel.domainname" else None
