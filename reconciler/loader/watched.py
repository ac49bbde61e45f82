"""Which directories tell of a change of what the loader reads.

Called by the daemon, through `Loader.watched_paths`. It only says where to look; a source that
is missing, and the directory above a source, are the daemon's own matter.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from reconciler.loader.sources import (
    COMMON,
    ENDINGS,
    Listing,
    git_lock_path,
    identify_source,
    list_source,
)

Names = frozenset[str] | None
"""Which entries of a directory matter; None: all."""

_MAX_LINKS = 40  # as the kernel's MAXSYMLINKS, path_resolution(7)


def find_watched(paths: Sequence[str], env_files: Iterable[str]) -> dict[str, Names]:
    """Return the directories (real paths) to watch, and which of their entries matter."""
    found: dict[str, Names] = {}
    for listing in map(list_source, map(identify_source, paths)):
        if listing.trouble is None:
            for directory, names in _points_of_source(listing):
                _add(found, directory, names)
    for file in env_files:
        for directory, name in points_of(file):
            _add(found, directory, frozenset({name}))
    return found


def _add(found: dict[str, Names], directory: str, names: Names) -> None:
    others = found.get(directory, frozenset())
    found[directory] = None if names is None or others is None else others | names


def _points_of_source(listing: Listing) -> Iterator[tuple[str, Names]]:
    """Yield the source, its drop-ins, the targets of links in it, and the place of git's lock."""
    path = listing.source.path
    directory = path if listing.is_directory else os.path.dirname(path)
    stem = os.path.splitext(os.path.basename(path))[0]
    beside = {os.path.basename(path), COMMON, *(f"{stem}{ending}.d" for ending in ENDINGS)}
    yield directory, None if listing.is_directory else frozenset(beside)
    for drop_ins in listing.drop_in_dirs:
        yield os.path.realpath(drop_ins), None
    for file in (*listing.files, *listing.drop_in_dirs):
        if os.path.islink(file):
            for place, name in points_of(file):
                yield place, frozenset({name})
    lock = git_lock_path(directory)
    if lock is not None:
        yield os.path.realpath(os.path.dirname(lock)), frozenset({os.path.basename(lock)})


def points_of(path: str) -> Iterator[tuple[str, str]]:
    """Yield each (real directory, name) whose change can change what `path` (absolute) names.

    These are the links on the way and the file at its end; or the first thing that is missing.
    """
    here, links = "/", 0
    pending = path.split("/")[::-1]
    while pending and links < _MAX_LINKS:
        name = pending.pop()
        if name in ("", ".", ".."):
            here = os.path.dirname(here) if name == ".." else here
            continue
        full = os.path.join(here, name)
        try:
            target = os.readlink(full)
        except OSError:  # no link: a directory, the file itself, or missing
            if os.path.isdir(full):
                here = full
                continue
            yield here, name
            return
        yield here, name
        links += 1
        here = "/" if target.startswith("/") else here
        pending += target.split("/")[::-1]
