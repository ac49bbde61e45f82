"""Tells that files of the sources have changed: inotify through watchdog, else by looking.

Called by `reconciler.daemon.watch`. It reads no spec; it only says "look again". Which
directories are watched is worked out anew before every pass (`arm`), so that a source which
appears, goes away, or is a link that is swapped needs no case of its own: a missing one is
watched for in the nearest directory above it.

watchdog's threads do nothing but call `wake`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

# What watchdog tells of that changes nothing; all else, also what is new to it, may matter.
_NO_CHANGES = frozenset({"opened", "closed_no_write"})

Names = frozenset[str] | None
"""Which entries of a directory matter; None: all but those of editors at work."""


class FileWatcher:
    """Watches the sources and calls `wake`, from another thread, when something has changed.

    When inotify's limits are reached, `is_polling` becomes true: `has_changed` is then to be
    asked from time to time.
    """

    def __init__(self, sources: Sequence[str], wake: Callable[[], None]) -> None:
        self._sources = [os.path.abspath(source) for source in sources]
        self._wake = wake
        self._observer: Any = None  # watchdog has no precise type for it
        self._armed: dict[str, _Armed] = {}
        self._seen: list[object] = []
        self.is_polling = False

    def arm(self) -> None:
        """Watch what the sources are now; what happens from here on wakes.

        Raises: OSError (ENOSPC, EMFILE) once, when inotify's limits are reached; polls from
        then on.
        """
        if self.is_polling:
            self._seen = self._look()
            return
        try:
            self._arm()
        except OSError:
            self.close()
            self.is_polling = True
            self._seen = self._look()
            raise

    def has_changed(self) -> bool:
        """Tell whether anything differs from when `arm` was called."""
        return self._look() != self._seen

    def close(self) -> None:
        """End all watching and its threads."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
        self._observer = None
        for armed in self._armed.values():
            os.close(armed.fd)
        self._armed.clear()

    def _arm(self) -> None:
        if self._observer is None:
            from watchdog.observers import Observer

            self._observer = Observer()
            self._observer.start()
        wanted = find_directories(self._sources)
        for path, armed in list(self._armed.items()):
            if path not in wanted or armed.names != wanted[path] or not armed.is_at(path):
                del self._armed[path]
                self._observer.unschedule(armed.watch)
                os.close(armed.fd)
        for path in wanted.keys() - self._armed.keys():
            try:
                self._armed[path] = self._schedule(path, wanted[path])
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue  # the pass tells of it; the periodic one looks again

    def _schedule(self, path: str, names: Names) -> _Armed:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            handler = _Handler(path, names, self._wake)
            watch = self._observer.schedule(handler, path, recursive=False)
        except OSError:
            os.close(fd)
            raise
        return _Armed(fd, names, watch)

    def _look(self) -> list[object]:
        """Return stamps of all that the sources hold, to be compared."""
        stamps: list[object] = []
        for source in self._sources:
            stamps.append(_stamp(source))
            if os.path.isdir(source):
                names = sorted(os.listdir(source))
                stamps += [(name, _stamp(os.path.join(source, name))) for name in names]
        return stamps


class _Armed(NamedTuple):
    """One watched directory; `fd` keeps its inode number from being used again."""

    fd: int
    names: Names
    watch: object

    def is_at(self, path: str) -> bool:
        """Tell whether the path still is this directory."""
        try:
            return os.path.samestat(os.fstat(self.fd), os.stat(path))
        except OSError:
            return False


class _Handler:
    """Takes watchdog's events, in its thread."""

    def __init__(self, directory: str, names: Names, wake: Callable[[], None]) -> None:
        self._directory = directory
        self._names = names
        self._wake = wake

    def dispatch(self, event: FileSystemEvent) -> None:
        """Wake the main thread if the event matters (watchdog's interface).

        A directory is `modified` with each entry made or removed, which has its own event.
        """
        kind = event.event_type
        if kind in _NO_CHANGES or (kind == "modified" and event.is_directory):
            return
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if any(map(self._matters, paths)):
            self._wake()

    def _matters(self, path: str) -> bool:
        if path == self._directory:  # it was removed or moved away
            return True
        name = os.path.basename(path)
        return not is_editors(name) if self._names is None else name in self._names


def find_directories(sources: Sequence[str]) -> dict[str, Names]:
    """Return the directories to watch for these sources (absolute), and what matters in each.

    A directory's own is not enough: of being moved away, or of a link to it being swapped, only
    the one above it tells.
    """
    found: dict[str, Names] = {}
    for source in sources:
        if os.path.isdir(source):
            found[os.path.realpath(source)] = None
        parent, name = os.path.split(source)
        while not os.path.isdir(parent):
            parent, name = os.path.split(parent)
        parent = os.path.realpath(parent)
        others = found.get(parent, frozenset())
        found[parent] = None if others is None else others | {name}
    return found


def is_editors(name: str) -> bool:
    """Tell whether only an editor at work makes a file of this name.

    `..data` is none of them: swapping it is how a config map changes.
    """
    return (name.startswith(".") and not name.startswith("..")) or name.endswith("~")


def _stamp(path: str) -> object:
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
