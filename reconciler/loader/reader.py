"""Contents of files by their digest, read again only when a file's stamp has changed.

Called by `look`, one Reader for each look; what it has seen goes into the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from reconciler.loader.sources import Stamp, read_file, stat_file

# The coarsest time stamps of a file system in use (FAT) are two seconds apart.
_RACY_NS = 2 * 10**9


class Print(NamedTuple):
    """A file as it was read. `is_racy`: so fresh that a change could keep the stamp.

    As with git's index ("racy git"): a file can change twice within one tick of the file
    system's clock, so a file that was young when it was read is read again.
    """

    stamp: Stamp
    is_racy: bool
    digest: str


class Reader:
    """Reads files; `known` is what an earlier look has seen, `seen` what this one has."""

    def __init__(self, known: Mapping[str, Print], clock: Callable[[], float]) -> None:
        self._known = known
        self._clock = clock
        self._contents: dict[str, bytes] = {}
        self.seen: dict[str, Print] = {}

    def digest(self, file: str) -> str | None:
        """Return the SHA-256 of a file's content (hex), or None when it is gone.

        Raises: FileTrouble when the file is there and cannot be read.
        """
        found = self.seen.get(file)
        if found is None:
            known = self._known.get(file)
            stamp = stat_file(file)
            if stamp is None:
                return None
            if known is None or known.stamp != stamp or known.is_racy:
                return self._read(file)
            self.seen[file] = found = known
        return found.digest

    def size(self, file: str) -> int:
        """Return the size in bytes of a file whose digest is known."""
        return self.seen[file].stamp[2]

    def take(self, file: str) -> bytes | None:
        """Return a file's content, whose digest is then the one of `digest`; None when gone.

        Raises: FileTrouble when the file is there and cannot be read.
        """
        if file not in self._contents and self._read(file) is None:
            return None
        return self._contents.pop(file)

    def _read(self, file: str) -> str | None:
        import hashlib

        now_ns = int(self._clock() * 1e9)
        if (content := read_file(file)) is None:
            return None
        stamp, data = content
        is_racy = max(stamp[:2]) > now_ns - _RACY_NS
        found = Print(stamp, is_racy, hashlib.sha256(data).hexdigest())
        known = self._known.get(file)
        self.seen[file] = known if known == found and known is not None else found
        self._contents[file] = data
        return found.digest
