"""The device nodes of a container whose mounts are listed. Called by `listed_mounts`.

Source: runtime-spec config-linux.md (Devices, Default Devices).
"""

from __future__ import annotations

import os
import stat

from reconciler.engine.devices import resolved_devices
from reconciler.engine.mount_options import parse_options
from reconciler.engine.rootless import is_rootless
from reconciler.engine.setup_namespaces import has_user_namespace
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any
from reconciler.linux.mount import MountAttr
from reconciler.model.config import Config
from reconciler.model.isolation import Device
from reconciler.monitor.steps import listed, root

_NODEV = int(MountAttr.NODEV)
_DEFAULT_NODES = (
    Device(path="/dev/null", type="c", major=1, minor=3),
    Device(path="/dev/zero", type="c", major=1, minor=5),
    Device(path="/dev/full", type="c", major=1, minor=7),
    Device(path="/dev/random", type="c", major=1, minor=8),
    Device(path="/dev/urandom", type="c", major=1, minor=9),
    Device(path="/dev/tty", type="c", major=5, minor=0),
)
_DEFAULT_PATHS = frozenset(device.path for device in _DEFAULT_NODES)
_LINKS = [
    ["/dev/fd", "/proc/self/fd"],
    ["/dev/stdin", "/proc/self/fd/0"],
    ["/dev/stdout", "/proc/self/fd/1"],
    ["/dev/stderr", "/proc/self/fd/2"],
    ["/dev/ptmx", "pts/ptmx"],
]


def device_steps(config: Config, directory: str) -> tuple[list[Any], list[Any]]:
    """Return the steps for nodes and links below /dev, unless the host's own is mounted there.

    The first are for before the pivot: in a user namespace no node can be made. There those that
    every container has are the host's, bind mounted; others are made in `directory` and so mounted.

    Raises: NotSupported for an ordinary user and what is no device of the host's.
    """
    for item in config.isolation.mounts or ():
        if os.path.normpath(item.destination) == "/dev" and parse_options(item.options).is_bind:
            return [], []
    own = {device.path: device for device in resolved_devices(config.isolation)}
    nodes = {device.path: device for device in _DEFAULT_NODES} | own
    if not has_user_namespace(config):
        rows = [[one.path, *_node(one, one.uid, one.gid)] for one in nodes.values()]
        return [], [listed.MakeNodes(rows), listed.MakeLinks(_LINKS)]
    sources = {path: path for path in nodes if path not in own and os.path.exists(path)}
    made = []
    for number, (path, device) in enumerate(own.items()):
        if _is_hosts(device) and (is_rootless() or path in _DEFAULT_PATHS):
            sources[path] = path
        elif is_rootless():
            message = f"only root can make the device {path}: the host has no such node there"
            raise ReconcilerError(ErrorCode.NotSupported, message, field="linux.devices")
        else:
            name = f"device-{number}"
            ids = _host_id(device.uid, config, "uid"), _host_id(device.gid, config, "gid")
            made.append([name, *_node(device, *ids)])
            sources[path] = os.path.join(directory, name)
    trees = [root.CloneTree(key, path, False, 0, _NODEV) for key, path in sources.items()]
    attached = [listed.AttachAt(path, path, False, True, False, 0, 0) for path in sources]
    opened = [listed.MakeHostNodes(directory, made), *trees] if made else trees
    return opened, [*attached, listed.MakeLinks(_LINKS)]


def _node(one: Device, uid: int, gid: int) -> list[Any]:
    return [one.type, one.major, one.minor, one.mode, uid, gid]


def _is_hosts(device: Device) -> bool:
    """Tell whether the host has this very device at its path."""
    try:
        found = os.stat(device.path)
    except OSError:
        return False
    is_kind = stat.S_ISBLK if device.type == "b" else stat.S_ISCHR
    number = os.makedev(device.major, device.minor)
    return is_kind(found.st_mode) and found.st_rdev == number


def _host_id(inside: int, config: Config, kind: str) -> int:
    """Return the host's id for one in the user namespace, 0 for one that has none there."""
    isolation = config.isolation
    for one in isolation.uid_mappings if kind == "uid" else isolation.gid_mappings:
        if one.container_id <= inside < one.container_id + one.size:
            return one.host_id + inside - one.container_id
    return 0
