"""Makes where the mounts of a container go, in a root file system that has never been started.

criu mounts and makes nothing to mount on. Called by `restore`.
"""

from __future__ import annotations

import os

from reconciler.engine.mount_options import parse_options
from reconciler.lean import suppress
from reconciler.linux.mount import open_in_root
from reconciler.model.config import Config

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def make_targets(config: Config) -> None:
    """Make the directories and files that mounts go on, where they are missing.

    Not those within another mount: criu fills that. Raises: OSError with the path.
    """
    if config.rootfs.path is None:
        return
    top = os.open(config.rootfs.path, _DIRECTORY)
    done: list[str] = []
    try:
        for item in config.isolation.mounts or ():
            path = "/" + os.path.normpath(item.destination).lstrip("/")
            options = parse_options(item.options)
            if options.is_remount or f"{path}/".startswith(tuple(done)):
                continue
            is_bind = options.is_bind or item.type in (None, "bind", "none")
            is_file = is_bind and item.source is not None and not os.path.isdir(item.source)
            _make(top, path, is_file=is_file)
            done.append(f"{path}/")
    finally:
        os.close(top)


def _make(top: int, path: str, *, is_file: bool) -> None:
    with suppress(FileNotFoundError):
        os.close(open_in_root(top, path, os.O_PATH))
        return
    directory, name = os.path.split(path)
    _make(top, directory, is_file=False)
    parent = open_in_root(top, directory, _DIRECTORY)
    try:
        if is_file:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=parent))
        else:
            os.mkdir(name, 0o755, dir_fd=parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(parent)
