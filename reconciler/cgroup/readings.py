"""What was read of cgroup files, to tell cheaply whether the same would be read again.

Called by the engine for limits, which are looked at in each pass and hardly ever change. The files
are read each time, so that it is the kernel who says so; what is spared is to understand the same
texts again. Standard library and `files` alone.
"""

from __future__ import annotations

import os

from reconciler.cgroup import files
from reconciler.lean import Iterator, contextmanager


class Readings:
    """Files with their contents, None where there is no such file."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, bytes | None]] = []

    def note(self, path: str, data: bytes | None) -> None:
        """Take note of a file that was read."""
        self._seen.append((path, data))

    def are_same(self) -> bool:
        """Read the files again and tell whether nothing has changed.

        What cannot be read is for whoever reads it next to tell of.
        """
        for path, before in self._seen:
            try:
                fd = os.open(path, files.READ)
            except FileNotFoundError:
                if before is None:
                    continue
                return False
            except OSError:
                return False
            try:
                data = os.read(fd, files.CHUNK_BYTES)
            except OSError:
                return False
            finally:
                os.close(fd)
            if data != before:
                return False
        return True


@contextmanager
def recorded() -> Iterator[Readings]:
    """Give what this thread reads of cgroup files meanwhile."""
    readings = Readings()
    before = files.watchers.note
    files.watchers.note = readings.note
    try:
        yield readings
    finally:
        files.watchers.note = before
