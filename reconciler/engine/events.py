"""The channel of out-of-memory events of one container, over all its runs.

Made by Container.oom, ended by Container.destroy before anything else, and by its owner.

    memory (v1: eventfd; v2: memory.events) --.
    record directory (inotify): run, destroy --+--> epoll = fileno() --> read()
    the end (eventfd) ------------------------'
"""

from __future__ import annotations

import os
import select
from _thread import allocate_lock

from reconciler.cgroup import core
from reconciler.cgroup.oom import OomNotice
from reconciler.engine.process import until_readable
from reconciler.lean import Iterator, Mapping, NamedTuple, contextmanager, suppress
from reconciler.linux.clock import wall_s
from reconciler.linux.inotify import Inotify, read_events, watch_path
from reconciler.monitor.run_file import RUN_FILE

_GONE = Inotify.MOVE_SELF | Inotify.DELETE_SELF | Inotify.IGNORED


class OomEvent(NamedTuple):
    """The OOM killer was about, at this wall-clock time in seconds.

    `kills` counts since the start of the run, as far as is known: on v1 the notice comes before
    the kill.
    """

    at: float
    kills: int


class OomEvents:
    """Out-of-memory events as they happen; iterate, or poll `fileno()` and `read()`.

    It lasts over restarts and ends when the container is destroyed, by whomever. Close it.

    >>> from reconciler import Config, Engine, MemoryLimits, Resources
    >>> engine = Engine(run_dir=RUN_DIR, state_dir=STATE_DIR)
    >>> limits = Resources(memory=MemoryLimits(max_bytes=16 * 2**20))
    >>> hog = engine.create("hog", Config(command=("tail", "/dev/zero"), resources=limits))
    >>> with hog.oom() as events:
    ...     process = hog.start()
    ...     event = next(events)
    >>> process.wait().oom
    True

    As an asynchronous iterator, and to its end:

    >>> import asyncio
    >>> async def count() -> int:
    ...     with hog.oom() as events:
    ...         hog.destroy()
    ...         return len([event async for event in events])
    >>> asyncio.run(count())
    0
    """

    def __init__(self, directory: str, paths: Mapping[str, str], siblings: list[OomEvents]) -> None:
        """Register. `directory` is the record's; `siblings` are those that destroy ends.

        Raises: OSError with the path.
        """
        self._paths = paths
        self._siblings = siblings
        self._mutex = allocate_lock()
        self._notice: OomNotice | None = None
        self._kills = 0
        self._inode = 0
        self._is_due = False
        self._readers = 0
        self._is_closed = False
        self._watch_fd = watch_path(directory, Inotify.MOVED_TO | _GONE | Inotify.ONLYDIR)
        self._end_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll = select.epoll()
        self._epoll.register(self._watch_fd, select.EPOLLIN)
        self._epoll.register(self._end_fd, select.EPOLLIN)
        self._register()
        self._kills = core.oom_kills(paths)  # what was before is no news
        self._is_due = False

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there is something to read."""
        return self._epoll.fileno()

    def read(self) -> list[OomEvent] | None:
        """Return what has happened since the last call; None at the end. Never waits."""
        with self._mutex:
            if self._watch_fd < 0:
                return None
            ready = {} if self._is_closed else dict(self._epoll.poll(0))
            noticed = self._take_notice(ready)
            if self._watch_fd in ready:
                changes = read_events(self._watch_fd)
                if any(mask & _GONE for mask, _ in changes):
                    self._end()
                elif any(name == RUN_FILE or mask & Inotify.Q_OVERFLOW for mask, name in changes):
                    self._register()
            if noticed or self._is_due:
                self._is_due = False
                return [OomEvent(wall_s(), self._kills)]
            return [] if self._watch_fd >= 0 else None

    def end(self) -> None:
        """Remove the registrations: from now on the channel is at its end. For any thread."""
        with self._mutex:
            self._end()

    def close(self) -> None:
        """End it and let go of its descriptors; a thread that iterates stops."""
        self.end()
        with self._mutex:
            self._is_closed = True
            self._release()
        with suppress(ValueError):  # closed before
            self._siblings.remove(self)

    # --- iteration

    def __iter__(self) -> Iterator[OomEvent]:
        return self

    def __next__(self) -> OomEvent:
        with self._reading():
            while (events := self.read()) is not None:
                if events:
                    return events[0]
                self._epoll.poll()
        raise StopIteration

    def __aiter__(self) -> OomEvents:
        return self

    async def __anext__(self) -> OomEvent:
        with self._reading():
            while (events := self.read()) is not None:
                if events:
                    return events[0]
                await until_readable(self.fileno())
        raise StopAsyncIteration

    def __enter__(self) -> OomEvents:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Keep the descriptors open that one waits on."""
        with self._mutex:
            self._readers += 1
        try:
            yield
        finally:
            with self._mutex:
                self._readers -= 1
                self._release()

    # --- parts, with the mutex held

    def _register(self) -> None:
        """Register with the cgroup of this run; each run has one of its own."""
        inode = self._cgroup_inode()
        if inode == self._inode:
            return
        self._inode, self._kills = inode, 0
        if self._notice is not None:
            self._notice.close()  # leaves the epoll by that
            self._notice = None
        if not inode:
            return
        notice = OomNotice(self._paths)
        if notice.fd >= 0:
            self._notice = notice
            self._epoll.register(notice.fd, notice.mask)
        self._is_due = self._has_new_kills()

    def _take_notice(self, ready: Mapping[int, int]) -> bool:
        """Tell whether the notice that is ready is of an OOM."""
        notice = self._notice
        if notice is None or notice.fd not in ready:
            return False
        notice.drain()
        if self._cgroup_inode() != self._inode:  # the removal of a v1 cgroup is told likewise
            self._epoll.unregister(notice.fd)
            notice.close()
            self._notice = None
            return False
        has_new_kills = self._has_new_kills()
        return has_new_kills or notice.mask == select.EPOLLIN

    def _has_new_kills(self) -> bool:
        former, self._kills = self._kills, core.oom_kills(self._paths)
        return self._kills > former

    def _cgroup_inode(self) -> int:
        directory = self._paths.get("memory") or self._paths.get(core.UNIFIED, "")
        try:
            return os.stat(directory).st_ino
        except FileNotFoundError:
            return 0

    def _end(self) -> None:
        if self._watch_fd < 0:
            return
        if self._notice is not None:
            self._notice.close()
            self._notice = None
        os.close(self._watch_fd)
        self._watch_fd = -1
        with suppress(BlockingIOError):
            os.eventfd_write(self._end_fd, 1)

    def _release(self) -> None:
        """Close what a thread may be waiting on, once none is."""
        if self._is_closed and self._readers == 0 and not self._epoll.closed:
            self._epoll.close()
            os.close(self._end_fd)
