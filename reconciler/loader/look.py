"""One look at the sources: which files count, and what each of them gives.

Called by `standing` for each pass, and by `explain`. A file is parsed again only when its content,
its drop-ins or its env files are others than the cache's entry was made from.

    list sources --> Layers: stem -> file + drop-ins --digests--> as the entry's: entry.parsed
                                                      \\---------> else: parse_file
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from reconciler.errors.codes import ErrorCode
from reconciler.loader.cache import Cache, Entry
from reconciler.loader.layers import Layers, Piece
from reconciler.loader.parsed import Parsed, make_problem
from reconciler.loader.reader import Reader
from reconciler.loader.sources import (
    FileTrouble,
    Listing,
    is_null,
    list_source,
    stem_of,
)
from reconciler.model.frozen import replace
from reconciler.model.text import printable
from reconciler.model.world import Problem, Source, SourceStatus

if TYPE_CHECKING:
    from reconciler.loader.patch import Patch, Patches

_MASK = Entry(digest="", parsed=Parsed())


class Found:
    """What one look gave; `entries` are what the cache is to hold next."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.entries: dict[str, Entry] = {}
        self.files: dict[str, Parsed] = {}
        self.problems: list[Problem] = []

    def paths(self, *statuses: SourceStatus) -> set[str]:
        """Return the identities of the sources with one of the statuses."""
        return {source.path for source in self.sources if source.status in statuses}


class Look:
    """Looks at sources (identities) once; `cache` is what the last look has left.

    Directories are layers of one configuration. A file that is a source by itself overrides
    nothing and is overridden by nothing; the drop-ins beside it apply.
    """

    def __init__(self, sources: Sequence[str], cache: Cache, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._in_force = {spec.origin.file for spec in cache.good.values()}
        self._patches: dict[str, Patch] = {}
        self._gone: set[str] = set()
        self._found = Found()
        self.reader = Reader(cache.prints, clock)
        self._listings = [list_source(identity) for identity in sources]
        directories = [listing for listing in self._listings if listing.is_directory]
        self._directories = {listing.source.path for listing in directories}
        self._layers = Layers(directories, self.reader)

    def take_all(self) -> Found:
        """Take each file that counts from the cache, or read it."""
        for candidates in self._layers.candidates.values():
            self._take_first(candidates)
        for listing in self._listings:
            if not listing.is_directory and not self._is_layered(listing.source.path):
                for file in listing.files:
                    self._take(file, has_lower=False)
            self._judge(listing)
        return self._found

    def directories(self) -> set[str]:
        """Return the directories that were listed: sources and their drop-ins."""
        drop_ins = {path for listing in self._listings for path in listing.drop_in_dirs}
        return self._directories | drop_ins

    def patches_of(self, file: str) -> Patches:
        """Return the drop-ins of a file that counts, parsed."""
        from reconciler.loader.patch import Patches

        common, own = self._pieces_of(file)
        return Patches(common=tuple(map(self._patch, common)), own=tuple(map(self._patch, own)))

    def _judge(self, listing: Listing) -> None:
        """Note the source with its status."""
        source = listing.source
        if listing.trouble is not None:
            code, message = listing.trouble.code, listing.trouble.message
            self._found.problems.append(make_problem(code, message, printable(source.path)))
        elif self._gone.issuperset(listing.files):
            source = replace(source, status=SourceStatus.EMPTY)
        self._found.sources.append(source)

    # --- one file ----------------------------------------------------------------------------

    def _take_first(self, candidates: Sequence[Sequence[str]]) -> None:
        """Take the files of one stem from the last layer that has them."""
        for index in reversed(range(len(candidates))):
            taken = [self._take(file, has_lower=index > 0) for file in candidates[index]]
            if any(taken):
                return

    def _take(self, file: str, *, has_lower: bool) -> bool:
        """Put a file's result into what is found; tell whether it is there."""
        known = self._cache.entries.get(file)
        try:
            entry = self._make_entry(file, known, has_lower=has_lower)
        except FileTrouble as trouble:
            if is_null(file):
                entry = known if known is not None and known.is_mask() else _MASK
            else:
                if known is not None:
                    self._found.entries[file] = known
                shown = printable(file)
                problem = make_problem(trouble.code, trouble.message, shown)
                self._found.files[shown] = Parsed(problems=(problem,), has_unnamed=True)
                return True
        if entry is None:
            self._gone.add(file)
            return False
        self._found.entries[file] = entry
        self._found.files[file] = entry.parsed
        return True

    def _make_entry(self, file: str, known: Entry | None, *, has_lower: bool) -> Entry | None:
        """Return the known entry of an unchanged file, else a new one; None if it is gone.

        An empty file masks what is below it. One that gave the spec in force is rather
        half-written: it was truncated, and that is how a file in trouble looks.

        Raises: FileTrouble when the file is there and cannot be read.
        """
        digest = self.reader.digest(file)
        if digest is None:
            return None
        if has_lower and self.reader.size(file) == 0:
            if file not in self._in_force:
                return known if known is not None and known.is_mask() else _MASK
            message = f"the file is empty; to mask {stem_of(file)}, link it to /dev/null"
            raise FileTrouble(ErrorCode.SpecSyntax, message)
        common, own = self._pieces_of(file)
        patches = tuple((piece.file, piece.digest) for piece in (*common, *own))
        if known is not None and (known.digest, known.patches) == (digest, patches):
            digests = self._referred_digests(known.parsed)
            if digests == (known.env_digests, known.reference_digests):
                return known
        return self._parse(file, patches)

    def _parse(self, file: str, patches: tuple[tuple[str, str], ...]) -> Entry | None:
        from reconciler.loader.parse import parse_file

        data = self.reader.take(file)
        if data is None:
            return None
        parsed = parse_file(file, data, self.patches_of(file), self.reader)
        env_digests, reference_digests = self._referred_digests(parsed)
        return Entry(
            digest=self.reader.seen[file].digest,
            patches=patches,
            env_digests=env_digests,
            reference_digests=reference_digests,
            parsed=parsed,
        )

    def _referred_digests(self, parsed: Parsed) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the digests of the env files and of the references."""
        env = tuple(_digest_or_trouble(self.reader.digest, file) for file in parsed.env_files)
        trees = self.reader.tree_digest
        return env, tuple(_digest_or_trouble(trees, path) for path in parsed.references)

    # --- drop-ins ----------------------------------------------------------------------------

    def _pieces_of(self, file: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
        """Return the drop-ins for all containers, and those for this file alone."""
        layers = self._layers
        if not self._is_layered(file):
            layers = Layers([one for one in self._listings if one.source.path == file], self.reader)
        return layers.common(), layers.own(stem_of(file))

    def _is_layered(self, file: str) -> bool:
        return os.path.dirname(file) in self._directories

    def _patch(self, piece: Piece) -> Patch:
        """Return a drop-in parsed; once, however many containers it is for."""
        from reconciler.loader.patch import Patch, read_patch

        patch = self._patches.get(piece.file)
        if patch is None:
            shown = printable(piece.file)
            try:
                if piece.trouble is not None:
                    raise piece.trouble
                data = self.reader.take(piece.file)
                if data is None:
                    raise FileTrouble(ErrorCode.SpecUnreadable, "cannot read file: it is gone")
                patch = read_patch(shown, data)
            except FileTrouble as trouble:
                problem = make_problem(trouble.code, trouble.message, shown)
                patch = Patch(file=shown, problem=problem)
            self._patches[piece.file] = patch
        return patch


def _digest_or_trouble(digest: Callable[[str], str | None], path: str) -> str:
    try:
        return digest(path) or ""
    except FileTrouble as trouble:
        return f"!{trouble.message}"
