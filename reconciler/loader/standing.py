"""What stands though it cannot be seen: files of a hidden source, or of a git checkout under way.

Called by `load`. A file that is gone is a wish, as is one that is no longer overridden; but not
while its source is missing or unreadable, and not while git replaces files: it removes the old
ones before it writes the new.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from reconciler.errors.codes import ErrorCode
from reconciler.loader.cache import Cache, Entry
from reconciler.loader.look import Found, Look
from reconciler.loader.parsed import Parsed, make_problem
from reconciler.loader.reader import Print
from reconciler.loader.sources import find_git_lock, stem_of
from reconciler.model.frozen import replace
from reconciler.model.world import Problem, Source, SourceStatus

_MAX_LOOKS = 5  # a directory that changes all the time must not hold up everything

Locks = Mapping[str, str]
"""By source: git's lock that was there."""


def look_at(
    sources: Sequence[str], cache: Cache, clock: Callable[[], float]
) -> tuple[Found, Mapping[str, Print]]:
    """Return what the sources (identities) give, and the stamps of all files read.

    It looks again if something is gone since the last time, and the directories have changed
    meanwhile: a file may have been moved from a directory that was not yet listed into one that
    was. Whether git is at work is asked before and after the look that counts.
    """
    locks: dict[str, str] = {}
    stamps: dict[str, int] | None = None
    known = cache
    for _ in range(_MAX_LOOKS):
        look = Look(sources, known, clock)
        found = look.take_all()
        missing = list(_find_missing(found, cache))
        if not missing:
            break
        before, stamps = stamps, _stamp(look.directories())
        locks |= _find_locks(found.sources)
        if before == stamps:
            break
        known = replace(cache, entries=found.entries, prints=look.reader.seen)
    for file, gone in missing:
        _stand(file, gone, found, cache.entries.get(file), locks)
    return found, look.reader.seen


def _stamp(directories: Iterable[str]) -> dict[str, int]:
    """Return when the entries of the directories changed last; 0 where one is gone."""
    stamps = dict.fromkeys(directories, 0)
    for path in stamps:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            stamps[path] = os.stat(path).st_mtime_ns
    return stamps


def _find_missing(found: Found, cache: Cache) -> Iterator[tuple[str, str]]:
    """Yield (spec file, what is missing): itself, or a drop-in of it."""
    in_force = {spec.origin.file for spec in cache.good.values()}
    for file in (cache.entries.keys() | in_force) - found.files.keys():
        yield file, file
    for file, entry in found.entries.items():
        known = cache.entries.get(file)
        if known is not None and known.patches != entry.patches:
            present = {patch for patch, _ in entry.patches}
            yield from ((file, patch) for patch, _ in known.patches if patch not in present)


def _find_locks(sources: Iterable[Source]) -> dict[str, str]:
    locks = ((one.path, find_git_lock(one.path)) for one in sources)
    return {path: lock for path, lock in locks if lock is not None}


def _stand(file: str, missing: str, found: Found, known: Entry | None, locks: Locks) -> None:
    """Let a file keep what it gave, if what is missing has an excuse."""
    index = _find_source(missing, found.sources)
    if index is None:  # a drop-in beside a file that is a source by itself
        index = _find_source(file, found.sources)
    if index is None:
        return
    source = found.sources[index]
    problem: Problem | None = None
    if source.status is SourceStatus.OK and source.path in locks:
        message = f"cannot read file: git replaces the files here ({locks[source.path]} is there)"
        problem = make_problem(ErrorCode.SpecUnreadable, message, missing)
    elif source.status not in (SourceStatus.MISSING, SourceStatus.UNREADABLE):
        return  # it is gone; or its source is empty, which is guarded elsewhere
    if file == missing and not _settle_stem(file, index, found):
        return
    if known is not None:
        found.entries[file] = known
    if known is not None and known.is_mask():
        found.files[file] = known.parsed
    else:
        told = () if problem is None else (problem,)
        found.files[file] = Parsed(problems=told, has_unnamed=True)


def _settle_stem(file: str, index: int, found: Found) -> bool:
    """Take what the file overrides out of what is found; tell whether nothing overrides it."""
    directories = {source.path: number for number, source in enumerate(found.sources)}
    if os.path.dirname(file) not in directories:
        return True  # a source by itself
    rivals = [other for other in found.files if stem_of(other) == stem_of(file)]
    layers = {other: directories.get(os.path.dirname(other), index) for other in rivals}
    if any(layer > index for layer in layers.values()):
        return False
    for other, layer in layers.items():
        if layer < index:
            del found.files[other]
            found.entries.pop(other, None)
    return True


def _find_source(file: str, sources: Sequence[Source]) -> int | None:
    """Return the place of the source that a spec or a drop-in is of."""
    directory = os.path.dirname(file)
    for path in (file, directory, os.path.dirname(directory)):
        for index, source in enumerate(sources):
            if source.path == path:
                return index
    return None
