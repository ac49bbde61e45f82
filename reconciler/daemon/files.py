"""Tells that watched files have changed: inotify through watchdog, else by looking.

Called by `reconciler.daemon.watch`, which says what to watch. It reads no spec; it only says
"look again". What is watched is made equal to what is wanted before every pass (`arm`), so that
a directory which appears, goes away, or is replaced needs no case of its own.

watchdog's threads do nothing but call `wake`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

    from reconciler.loader.watched import Interest, Watched

# What watchdog tells of that changes nothing; all else, also what is new to it, may matter.
_NO_CHANGES = frozenset({"opened", "closed_no_write"})
_LIMITS = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})

Wake = Callable[[str], None]
"""What is called with a path that has changed, in another thread."""


class FileWatcher:
    """Watches what it is told to and calls `wake` when something of it has changed.

    When a limit of the system is reached, `is_polling` becomes true: `has_changed` is then to
    be asked from time to time.
    """

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._observer: Any = None  # watchdog has no precise type for it
        self._armed: dict[str, _Armed] = {}
        self._seen: dict[str, object] = {}
        self._watched: Watched = {}
        self.is_polling = False

    def arm(self, watched: Watched) -> None:
        """Watch this, as it is now; what happens from here on wakes.

        Raises: OSError (ENOSPC, EMFILE, EAGAIN) once, when a limit is reached: of inotify
        (inotify(7)), or of threads; polls from then on.
        """
        self._watched = watched
        try:
            if not self.is_polling:
                self._arm()
        except OSError:
            self.close()
            self.is_polling = True
            raise
        finally:
            if self.is_polling:
                self._seen = _look(watched)

    def has_changed(self) -> bool:
        """Tell whether anything differs from when `arm` was called."""
        return _look(self._watched) != self._seen

    def close(self) -> None:
        """End all watching and its threads."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
        self._observer = None
        self._armed.clear()

    def _arm(self) -> None:
        for path, armed in list(self._armed.items()):
            if armed.interest != self._watched.get(path) or not armed.is_at(path):
                del self._armed[path]
                self._observer.unschedule(armed.watch)
        for path in self._watched.keys() - self._armed.keys():
            try:
                self._armed[path] = self._schedule(path, self._watched[path])
            except RuntimeError as error:  # threading has no more precise one
                raise OSError(errno.EAGAIN, str(error)) from error
            except OSError as error:
                if error.errno in _LIMITS:
                    raise
                # It is gone, or may not be read: the pass tells of it, the next one tries again.

    def _schedule(self, path: str, interest: Interest) -> _Armed:
        from watchdog.events import (
            DirDeletedEvent,
            DirModifiedEvent,
            FileModifiedEvent,
            FileSystemEvent,
        )

        if self._observer is None:
            import logging

            from watchdog.observers import Observer

            # It complains when a change comes while it ends, and past our format.
            logging.getLogger("watchdog").setLevel(logging.CRITICAL)
            observer = Observer()
            observer.start()
            self._observer = observer
        armed = _Armed(path, interest, self._wake)
        # The first three make the kernel tell of no file that is only read; the last lets pass
        # what the others do not name.
        told = [DirDeletedEvent, DirModifiedEvent, FileModifiedEvent, FileSystemEvent]
        armed.watch = self._observer.schedule(armed, path, recursive=False, event_filter=told)
        return armed


class _Armed:
    """One watched directory; takes watchdog's events, in its thread.

    As long as it is watched no other can have its inode number; once it is gone, that is told.
    """

    watch: Any = None

    def __init__(self, path: str, interest: Interest, wake: Wake) -> None:
        """Open it once. Raises: OSError: watchdog would say nothing of EACCES."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._identity = _identity(os.fstat(fd))
        os.close(fd)
        self._directory = path
        self._wake = wake
        self._is_gone = False
        self.interest = interest

    def is_at(self, path: str) -> bool:
        """Tell whether the path still is this directory."""
        try:
            found = os.stat(path)
        except OSError:
            return False
        return _identity(found) == self._identity and not self._is_gone

    def dispatch(self, event: FileSystemEvent) -> None:
        """Wake the main thread if the event matters (watchdog's interface).

        A directory is `modified` with each entry made or removed, which has its own event.
        """
        kind = event.event_type
        if kind in _NO_CHANGES or (kind == "modified" and event.is_directory):
            return
        for path in (event.src_path, event.dest_path):
            if path and self._matters(os.fsdecode(path), kind):
                self._wake(os.fsdecode(path))

    def _matters(self, path: str, kind: str) -> bool:
        if path == self._directory:
            self._is_gone |= kind == "deleted"
            return True
        return self.interest.covers(os.path.basename(path))


def _look(watched: Watched) -> dict[str, object]:
    """Return stamps of all that is watched, to be compared."""
    stamps: dict[str, object] = {}
    for directory, interest in watched.items():
        names = set(interest.names)
        if interest.has_specs or interest.is_whole:
            stamps[directory] = _stamp(directory)
            names |= _list(directory)
        for name in filter(interest.covers, names):
            path = os.path.join(directory, name)
            stamps[path] = _stamp(path)
    return stamps


def _list(directory: str) -> set[str]:
    try:
        return set(os.listdir(directory))
    except OSError:
        return set()


def _stamp(path: str) -> object:
    """Return what changes when a file does; of a directory, when it is replaced."""
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    if stat.S_ISDIR(found.st_mode):
        return _identity(found), found.st_mode
    return _identity(found), found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
