"""One look at the sources: which files count, and what each of them gives.

Called by `load` for each pass and by `explain`. A file is parsed again only when its content,
its drop-ins or its env files are others than the cache's entry was made from.

    list sources --> Layers: stem -> file + drop-ins --digests--> as the entry's: entry.parsed
                                                      \\---------> else: parse_file
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.errors.codes import ErrorCode
from reconciler.loader.cache import Cache, Entry
from reconciler.loader.layers import Layers, Piece
from reconciler.loader.parsed import Parsed, make_problem, printable
from reconciler.loader.reader import Reader
from reconciler.loader.sources import (
    FileTrouble,
    Listing,
    find_git_lock,
    is_null,
    list_source,
    stem_of,
)
from reconciler.model.world import Problem, Source, SourceStatus

if TYPE_CHECKING:
    from reconciler.loader.patch import Patch, Patches

_MASK = Entry(digest="", parsed=Parsed())


@dataclass(slots=True)
class Found:
    """What one look gave; `entries` are what the cache is to hold next."""

    sources: list[Source] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    files: dict[str, Parsed] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def paths(self, *statuses: SourceStatus) -> set[str]:
        """Return the identities of the sources with one of the statuses."""
        return {source.path for source in self.sources if source.status in statuses}


class Look:
    """Looks at sources (identities) once; `cache` is what the last look has left."""

    def __init__(self, sources: Sequence[str], cache: Cache, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._in_force = {spec.origin.file for spec in cache.good.values()}
        self._patches: dict[str, Patch] = {}
        self._gone: set[str] = set()
        self.reader = Reader(cache.prints, clock)
        self.found = Found()
        self._unseen: set[str] = set()  # files that stand though they cannot be seen
        self.listings = self._list(sources)
        directories = [listing for listing in self.listings if listing.is_directory]
        self.layers = Layers(directories, self.reader)

    def take_all(self) -> Found:
        """Take each file that counts from the cache, or read it."""
        for file, has_lower, layers in self.choices():
            self._take(file, has_lower=has_lower, layers=layers)
        for listing in self.listings:
            self._judge(listing)
        return self.found

    def choices(self) -> list[tuple[str, bool, Layers]]:
        ...

    # --- what there is ---------------------------------------------------------------------

    def _list(self, sources: Sequence[str]) -> list[Listing]:
        """List the sources, twice when something is gone since the last look.

        Twice, since a file may be moved from a directory that is not yet listed into one that
        is; and since git removes a file before it writes the new one.
        """
        listings = [list_source(identity) for identity in sources]
        known = self._known_files()
