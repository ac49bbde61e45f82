"""The loader: sources to `Desired`, reading only what has changed since the last time.

Called by control for each pass, and by the command line (`validate`). It raises nothing for
bad input; what is wrong is in `Desired.problems`.

    cache --.
             >--Look--> Parsed by file --merge--> Desired, and the next pass's cache
    files --'
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping, Sequence

from reconciler.errors import ReconcilerError
from reconciler.linux.clock import wall_s
from reconciler.loader.cache import Cache, Tell, cache_path, log_trouble, read_cache, write_cache
from reconciler.loader.look import Found
from reconciler.loader.merge import merge
from reconciler.loader.reader import Print
from reconciler.loader.sources import identify_source
from reconciler.loader.standing import look_at
from reconciler.loader.watched import Watched, find_watched
from reconciler.model.spec import Spec
from reconciler.model.world import Desired, Problem, SourceStatus


def load_sources(paths: Sequence[str], state_dir: str) -> Desired:
    """Return what the sources (directories or files) ask for, with the cache in `state_dir`."""
    return Loader(state_dir).load(paths)


def validate_paths(paths: Sequence[str]) -> Desired:
    """Return what the sources ask for, by themselves: no cache, no last good specs."""
    return Loader(None).load(paths)


class Loader:
    """Loads the same sources again and again; keeps the cache in memory between passes.

    `state_dir` None means no cache file. `clock` gives wall-clock seconds. `tell` is called with
    trouble of the cache file, on which nothing else depends.
    """

    def __init__(
        self,
        state_dir: str | None,
        clock: Callable[[], float] = wall_s,
        *,
        tell: Tell = log_trouble,
    ) -> None:
        self._state_dir = state_dir
        self._clock = clock
        self._tell = tell
        self._sources: tuple[str, ...] | None = None
        self._cache = Cache()
        self._is_unsaved = False

    def load(self, paths: Sequence[str], *, keeps_good: bool = True) -> Desired:
        """Return what the sources ask for and all problems, sorted by file and line.

        Of directories the later ones override the earlier ones, as systemd's do. `keeps_good`:
        the specs are about to be in force, so that they are the last good ones from now on.
        """
        sources = tuple(dict.fromkeys(map(identify_source, paths)))
        if sources != self._sources:
            self._cache = self._read_cache(sources)
            self._sources = sources
        found, seen = look_at(sources, self._cache, self._clock)
        merged = merge(found.files, self._cache.good)
        self._remember(found, merged.specs if keeps_good else self._cache.good, seen)
        return Desired(
            specs=merged.specs,
            problems=tuple(sorted(found.problems + merged.problems, key=_sort_key)),
            sources=tuple(found.sources),
            invalid=frozenset(merged.invalid),
            unknown_files=tuple(merged.unknown_files),
        )

    def watched_paths(self, paths: Sequence[str]) -> Watched:
        """Return the directories to watch for changes of what `load` of these paths reads.

        Files that specs refer to are known once those have been loaded.
        """
        parsed = [entry.parsed for entry in self._cache.entries.values()]
        return find_watched(paths, {f for one in parsed for f in (*one.env_files, *one.references)})

    def _read_cache(self, sources: tuple[str, ...]) -> Cache:
        if self._sources is not None and set(sources) == set(self._sources):
            return self._cache
        if self._state_dir is None:
            return Cache()
        return read_cache(cache_path(self._state_dir, sources), sources, self._tell)

    def _remember(self, found: Found, specs: Mapping[str, Spec], seen: Mapping[str, Print]) -> None:
        """Make the next pass's cache, and write it if it is another than the last.

        A source that cannot be seen, or was emptied, keeps its entries; an emptied one also
        its last good specs, for the case that its files come back broken.
        """
        old = self._cache
        emptied = found.paths(SourceStatus.EMPTY)
        hidden = emptied | found.paths(SourceStatus.MISSING, SourceStatus.UNREADABLE)
        entries, good = found.entries, dict(specs)
        if hidden:
            entries = {f: e for f, e in old.entries.items() if _is_of(f, hidden)} | entries
            good = {n: s for n, s in old.good.items() if _is_of(s.origin.file, emptied)} | good
        cache = Cache(entries=entries, good=good, prints=seen)
        is_same = _is_same(entries, old.entries) and _is_same(good, old.good)
        if is_same and seen == old.prints and not self._is_unsaved:
            return
        self._cache = cache
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
                self._tell(error)
            self._is_unsaved = True


def _is_of(file: str, sources: set[str]) -> bool:
    return file in sources or os.path.dirname(file) in sources


def _is_same(left: Mapping[str, object], right: Mapping[str, object]) -> bool:
    return len(left) == len(right) and all(right.get(key) is item for key, item in left.items())


def _sort_key(problem: Problem) -> tuple[str, int, int, int]:
    return problem.file or "", problem.line or 0, problem.column or 0, problem.code
