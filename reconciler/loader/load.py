"""The loader: sources to `Desired`, reading only what has changed since the last time.

Called by control for each pass, and by the command line (`validate`). It raises nothing for
bad input; what is wrong is in `Desired.problems`.

    sources --list--> files --stat--> unchanged: from the cache ---.
                                \\---> changed: read, parse --------+--merge--> Desired
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reconciler.errors import ReconcilerError
from reconciler.linux.clock import wall_s
from reconciler.loader.cache import (
    Cache,
    Entry,
    cache_path,
    log_trouble,
    read_cache,
    write_cache,
)
from reconciler.loader.merge import Merged, merge
from reconciler.loader.parsed import Parsed, make_problem
from reconciler.loader.sources import (
    FileTrouble,
    Listing,
    identify_source,
    list_source,
    read_file,
    stat_file,
)
from reconciler.model.world import Desired, Problem, SourceStatus

# The coarsest time stamps of a file system in use (FAT) are two seconds apart.
_RACY_NS = 2 * 10**9


def load_sources(paths: Sequence[str], state_dir: str) -> Desired:
    """Return what the sources (directories or files) ask for, with the cache in `state_dir`."""
    return Loader(state_dir).load(paths)


def validate_paths(paths: Sequence[str]) -> Desired:
    """Return what the sources ask for, by themselves: no cache, no last good specs."""
    return Loader(None).load(paths)


@dataclass(slots=True)
class _Found:
    """What one look at the sources gave; `entries` are what the cache is to hold next."""

    listings: list[Listing] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    files: dict[str, Parsed] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def paths(self, status: SourceStatus) -> set[str]:
        """Return the identities of the sources with a status."""
        sources = (listing.source for listing in self.listings)
        return {source.path for source in sources if source.status is status}


class Loader:
    """Loads the same sources again and again; keeps the cache in memory between passes.

    `state_dir` None means no cache file. `clock` gives wall-clock seconds.
    """

    def __init__(self, state_dir: str | None, clock: Callable[[], float] = wall_s) -> None:
        self._state_dir = state_dir
        self._clock = clock
        self._sources: tuple[str, ...] | None = None
        self._cache = Cache()
        self._is_unsaved = False

    def load(self, paths: Sequence[str]) -> Desired:
        """Return what the sources ask for and all problems, sorted by file and line."""
        sources = tuple(dict.fromkeys(map(identify_source, paths)))
        if sources != self._sources:
            self._sources = sources
            self._cache = self._read_cache(sources)
        found = self._look(sources)
        merged = merge(found.files, self._cache.good)
        self._remember(found, merged)
        return Desired(
            specs=merged.specs,
            problems=tuple(sorted(found.problems + merged.problems, key=_sort_key)),
            sources=tuple(listing.source for listing in found.listings),
            invalid=frozenset(merged.invalid),
            unknown_files=tuple(merged.unknown_files),
        )

    def _read_cache(self, sources: tuple[str, ...]) -> Cache:
        if self._state_dir is None:
            return Cache()
        return read_cache(cache_path(self._state_dir, sources), sources)

    def _look(self, sources: tuple[str, ...]) -> _Found:
        """List the sources, and take each file from the cache or read it."""
        found = _Found()
        for identity in sources:
            listing = list_source(identity)
            for file in listing.files:
                if file not in found.files:
                    self._take_file(file, found)
            self._judge_source(listing, found)
        return found

    def _take_file(self, file: str, found: _Found) -> None:
        """Put a file's result into `found`, unless the file is gone."""
        try:
            entry = self._make_entry(file)
        except FileTrouble as trouble:
            shown = _printable(file)
            problem = make_problem(trouble.code, trouble.message, shown)
            found.files[shown] = Parsed(problems=(problem,), has_unnamed=True)
            return
        if entry is not None:
            found.entries[file] = entry
            found.files[file] = entry.parsed

    def _make_entry(self, file: str) -> Entry | None:
        """Return the known entry of an unchanged file, else a new one; None if it is gone.

        Raises: FileTrouble when the file is there and cannot be read.
        """
        known = self._cache.entries.get(file)
        stamp = stat_file(file)
        if stamp is None or (known and known.stamp == stamp and not known.is_racy):
            return known if stamp else None
        import hashlib

        now_ns = int(self._clock() * 1e9)
        if (content := read_file(file)) is None:
            return None
        stamp, data = content
        digest = hashlib.sha256(data).hexdigest()
        is_racy = max(stamp[:2]) > now_ns - _RACY_NS
        if known is None or known.digest != digest:
            from reconciler.loader.parse import parse_file

            parsed = parse_file(file, data)
            return Entry(stamp=stamp, is_racy=is_racy, digest=digest, parsed=parsed)
        if (known.stamp, known.is_racy) == (stamp, is_racy):
            return known
        return replace(known, stamp=stamp, is_racy=is_racy)

    def _judge_source(self, listing: Listing, found: _Found) -> None:
        """Note the source's status; one that cannot be seen keeps its last good specs."""
        identity = listing.source.path
        if listing.trouble is not None:
            code, message = listing.trouble.code, listing.trouble.message
            found.problems.append(make_problem(code, message, _printable(identity)))
            for spec in self._cache.good.values():
                if _is_of(spec.origin.file, {identity}):
                    found.files.setdefault(spec.origin.file, Parsed(has_unnamed=True))
        elif not any(file in found.files for file in map(_printable, listing.files)):
            source = replace(listing.source, status=SourceStatus.EMPTY)
            listing = replace(listing, source=source)
        found.listings.append(listing)

    def _remember(self, found: _Found, merged: Merged) -> None:
        """Make the next pass's cache, and write it if it is another than the last.

        A source that cannot be seen, or was emptied, keeps its entries; an emptied one also
        its last good specs, for the case that its files come back broken.
        """
        old = self._cache
        emptied = found.paths(SourceStatus.EMPTY)
        hidden = emptied | found.paths(SourceStatus.MISSING) | found.paths(SourceStatus.UNREADABLE)
        entries, good = found.entries, dict(merged.specs)
        if hidden:
            entries = {f: e for f, e in old.entries.items() if _is_of(f, hidden)} | entries
            good = {n: s for n, s in old.good.items() if _is_of(s.origin.file, emptied)} | good
        if _is_same(entries, old.entries) and _is_same(good, old.good) and not self._is_unsaved:
            return
        self._cache = Cache(entries=entries, good=good)
        self._save()

    def _save(self) -> None:
        """Write the cache file; a failure is logged once and tried again with each pass."""
        if self._state_dir is None or self._sources is None:
            return
        try:
            write_cache(cache_path(self._state_dir, self._sources), self._sources, self._cache)
            self._is_unsaved = False
        except ReconcilerError as error:
            if not self._is_unsaved:
                log_trouble(error)
            self._is_unsaved = True


def _is_of(file: str, sources: set[str]) -> bool:
    return file in sources or os.path.dirname(file) in sources


def _is_same(left: Mapping[str, object], right: Mapping[str, object]) -> bool:
    return len(left) == len(right) and all(right.get(key) is item for key, item in left.items())


def _printable(path: str) -> str:
    """Return the path with what cannot be printed (also bytes that are no UTF-8) escaped."""
    return path if path.isprintable() else ascii(path)[1:-1]


def _sort_key(problem: Problem) -> tuple[str, int, int, int]:
    return problem.file or "", problem.line or 0, problem.column or 0, problem.code
