"""Contents of files by their digest, read again only when a file's stamp has changed.

Called by `look`, one Reader for each look; what it has seen goes into the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from reconciler.loader.sources import Stamp, read_file, stat_file
from reconciler.loader.trees import read_tree, stat_tree

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

    def tree_digest(self, path: str) -> str | None:
        """Return the digest of a file or directory with all that is in it, None when missing.

        Raises: FileTrouble when it is there and cannot be read.
        """
        key = f"{path}/"  # a file may be read by itself too
        if key in self.seen:
            return self.seen[key].digest
        known = self._known.get(key)
        now_ns = int(self._clock() * 1e9)
        if known is not None and not known.is_racy and stat_tree(path) == known.stamp:
            self.seen[key] = known
            return known.digest
        if (read := read_tree(path)) is None:
            return None
        self._note(key, *read, now_ns)
        return read[1]

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
        digest = hashlib.sha256(data).hexdigest()
        self._note(file, stamp, digest, now_ns)
        self._contents[file] = data
        return digest

    def _note(self, key: str, stamp: Stamp, digest: str, now_ns: int) -> None:
        found = Print(stamp, max(stamp[:2]) > now_ns - _RACY_NS, digest)
        known = self._known.get(key)
        self.seen[key] = known if known == found and known is not None else found
