"""What a container has of the host's: mounts and descriptors, which criu neither saves nor makes.

Each gets a name in the checkpoint, by which the same is given at its restore.
"""

from __future__ import annotations

import os
import stat

from reconciler.engine.mount_options import parse_options
from reconciler.lean import suppress
from reconciler.linux.mount import open_in_root
from reconciler.linux.proc import read_file
from reconciler.model.config import Config
from reconciler.oci.criu.options import EXTERNAL, INHERIT_FD
from reconciler.oci.criu.rpc import Fields, encode

_NULL, _NULL_DEVICE = "/dev/null", os.makedev(1, 3)


def sources(config: Config) -> dict[str, str]:
    """Return the host's path of each mount that comes from there, by where it is mounted.

    Of masked paths it is not known whether they are files, which alone the null device covers.
    """
    found = {}
    for item in config.isolation.mounts or ():
        options = parse_options(item.options)
        is_bind = options.is_bind or item.type in (None, "bind", "none")
        if is_bind and not options.is_remount and item.source:
            found["/" + os.path.normpath(item.destination).lstrip("/")] = item.source
    found |= dict.fromkeys(config.isolation.masked_paths or (), _NULL)
    if config.isolation.namespaces.user != "host":
        nodes = ("null", "zero", "full", "random", "urandom", "tty")
        found |= {f"/dev/{name}": f"/dev/{name}" for name in nodes}
    return found


def mounts_to_dump(config: Config, pid: int) -> Fields:
    """Return the mounts of the host's that a container has, for its dump."""
    points = _mount_points(pid)
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_CLOEXEC)
    fields: Fields = []
    try:
        for name, source in sources(config).items():
            with suppress(OSError):  # masked, and not there on this kernel
                fd = open_in_root(root, name, os.O_PATH)
                try:
                    point = points.get(_mount_id(fd))
                    is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
                finally:
                    os.close(fd)
                is_mask = source == _NULL
                if point not in (None, "/") and not (is_mask and is_directory):
                    fields.append((EXTERNAL, f"mnt[{point}]:{name}"))
    finally:
        os.close(root)
    return fields


def mounts_to_restore(config: Config) -> Fields:
    """Return them for its restore."""
    return [(EXTERNAL, f"mnt[{name}]:{path}") for name, path in sources(config).items()]


def _mount_id(fd: int) -> str:
    words = read_file(f"/proc/self/fdinfo/{fd}").split()
    return words[words.index(b"mnt_id:") + 1].decode()


def _mount_points(pid: int) -> dict[str, str]:
    """Return the mount point of each mount id of a process."""
    rows = [line.split() for line in read_file(f"/proc/{pid}/mountinfo").decode().splitlines()]
    return {row[0]: row[4].encode().decode("unicode_escape") for row in rows}


def streams_of(pid: int) -> list[str]:
    """Return what the standard streams of a process are, by the names that criu gives them.

    A file that is in none of its mounts is `file[MOUNT:INODE]`.
    """
    points = _mount_points(pid)
    return [_stream_of(f"/proc/{pid}/fd/{number}", points) for number in (0, 1, 2)]


def _stream_of(path: str, points: dict[str, str]) -> str:
    found = os.stat(path)
    words = read_file(path.replace("/fd/", "/fdinfo/")).split()
    mount_id = words[words.index(b"mnt_id:") + 1].decode()
    is_outside = mount_id not in points and not stat.S_ISFIFO(found.st_mode)
    if is_outside and (stat.S_ISREG(found.st_mode) or found.st_rdev == _NULL_DEVICE):
        return f"file[{int(mount_id):x}:{found.st_ino:x}]"
    return os.readlink(path)


def streams_to_dump(names: list[str]) -> Fields:
    """Return the standard streams that are files of the host's."""
    return [(EXTERNAL, name) for name in dict.fromkeys(names) if name.startswith("file[")]


def streams_to_restore(names: list[str]) -> Fields:
    """Return our own standard streams in the place of those that are not the container's."""
    return [
        (INHERIT_FD, encode([(1, name), (2, number)]))
        for number, name in enumerate(names)
        if name.startswith(("pipe:", "file["))
    ]
