"""Precedence among source directories: which file counts for a stem, and which drop-ins.

Called by `look`. As with systemd's units (systemd.unit(5)): of files with the same stem the
one in the last directory counts, and drop-ins of all directories are merged in the order of
their names, of those with the same name the one in the last directory. A drop-in that is a link
to /dev/null, or that is empty and has another to mask, takes the name away.
"""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from typing import NamedTuple

from reconciler.errors.codes import ErrorCode
from reconciler.loader.reader import Reader
from reconciler.loader.sources import (
    COMMON,
    FileTrouble,
    Listing,
    is_null,
    list_drop_ins,
    stem_of,
)

_COMMON_KEY = "/"  # no file has this stem


class Piece(NamedTuple):
    """A drop-in that counts: its file, the digest of its content, what is wrong with it."""

    file: str
    digest: str
    trouble: FileTrouble | None = None


class Layers:
    """Directories that make one configuration, the last of them with the last word."""

    def __init__(self, listings: Sequence[Listing], reader: Reader) -> None:
        self._reader = reader
        self._directories: dict[str, list[str]] = {}
        self._resolved: dict[str, tuple[Piece, ...]] = {}
        self.candidates: dict[str, list[list[str]]] = {}
        for listing in listings:
            slots: dict[str, list[str]] = {}
            for file in listing.files:
                slots.setdefault(stem_of(file), []).append(file)
            for stem, files in slots.items():
                self.candidates.setdefault(stem, []).append(files)
            for directory in listing.drop_in_dirs:
                is_common = os.path.basename(directory) == COMMON
                key = _COMMON_KEY if is_common else stem_of(directory)
                self._directories.setdefault(key, []).append(directory)

    def common(self) -> tuple[Piece, ...]:
        """Return the drop-ins for every container, in the order in which they are merged."""
        return self._resolve(_COMMON_KEY)

    def own(self, stem: str) -> tuple[Piece, ...]:
        """Return the drop-ins for files of this stem, in the order in which they are merged."""
        return self._resolve(stem) if stem in self._directories else ()

    def _resolve(self, key: str) -> tuple[Piece, ...]:
        pieces = self._resolved.get(key)
        if pieces is None:
            pieces = self._resolved[key] = tuple(self._find(key))
        return pieces

    def _find(self, key: str) -> list[Piece]:
        chains: dict[str, list[str]] = {}
        pieces: list[Piece] = []
        for directory in self._directories.get(key, ()):
            try:
                for name in list_drop_ins(directory):
                    chains.setdefault(name, []).append(os.path.join(directory, name))
            except FileTrouble as trouble:
                pieces.append(Piece(directory, _trouble_digest(trouble), trouble))
        found = (self._choose(chain) for _, chain in sorted(chains.items()))
        return pieces + [piece for piece in found if piece is not None]

    def _choose(self, chain: list[str]) -> Piece | None:
        """Return the last drop-in of a name that is there, None when it masks or none is."""
        for index in reversed(range(len(chain))):
            file = chain[index]
            try:
                digest = self._reader.digest(file)
                if digest is None:
                    continue
                if self._reader.size(file) == 0:
                    if index > 0:
                        return None
                    raise FileTrouble(ErrorCode.SpecSyntax, "the file is empty")
                return Piece(file, digest)
            except FileTrouble as trouble:
                if is_null(file):
                    return None
                return Piece(file, _trouble_digest(trouble), trouble)
        return None


def _trouble_digest(trouble: FileTrouble) -> str:
    """Return what stands for the digest of a file that cannot be read."""
    return f"!{trouble.message}"
