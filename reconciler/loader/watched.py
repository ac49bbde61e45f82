"""Which directories tell of a change of what the loader reads, and which entries of them matter.

Called by the daemon, through `Loader.watched_paths`, before and after each pass: it costs one
listing of each source, and one look at each referenced path. It reads no file.

A directory's own events are not enough: of being moved away, of a link to it being swapped and
of its being made only the one above it tells.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from reconciler.loader.sources import (
    COMMON,
    ENDINGS,
    Listing,
    git_lock_path,
    identify_source,
    list_source,
)

_MAX_LINKS = 40  # as the kernel's MAXSYMLINKS, path_resolution(7)
# Of one referenced tree: each costs watchdog a thread. The periodic pass sees what is beyond.
_MAX_DIRECTORIES = 1_000


class Interest(NamedTuple):
    """Which entries of a directory matter.

    `names` do; with `has_specs` all but those of editors at work; with `is_whole` all.
    """

    names: frozenset[str] = frozenset()
    has_specs: bool = False
    is_whole: bool = False

    def covers(self, name: str) -> bool:
        """Tell whether a change of the entry matters."""
        return self.is_whole or name in self.names or (self.has_specs and not is_of_editor(name))

    def join(self, other: Interest) -> Interest:
        """Return what covers all that either of the two covers."""
        return Interest(
            self.names | other.names,
            self.has_specs or other.has_specs,
            self.is_whole or other.is_whole,
        )


Watched = dict[str, Interest]
"""The directories to watch, by their real paths."""


def find_watched(paths: Sequence[str], references: Iterable[str]) -> Watched:
    """Return what to watch for these sources, and for the files and directories they refer to.

    Of a referenced directory all that is in it matters, at every depth.
    """
    found = _Found()
    sources = list(map(os.path.abspath, paths))
    references = set(references)
    found.add_paths((*sources, *references))
    for listing in map(list_source, map(identify_source, sources)):
        if listing.trouble is None:
            found.add_listing(listing)
    for path in filter(os.path.isdir, references):
        for directory, _, _ in islice(os.walk(os.path.realpath(path)), _MAX_DIRECTORIES):
            found.add(directory, Interest(is_whole=True))
    return found.watched


def is_of_editor(name: str) -> bool:
    """Tell whether only an editor at work makes a file of this name.

    `..data` is none of them: swapping it is how a config map changes.
    """
    return (name.startswith(".") and not name.startswith("..")) or name.endswith("~")


class _Found:
    def __init__(self) -> None:
        self.watched: Watched = {}

    def add(self, directory: str, interest: Interest) -> None:
        known = self.watched.get(directory)
        self.watched[directory] = interest if known is None else known.join(interest)

    def add_paths(self, paths: Iterable[str]) -> None:
        """Watch for a change of what absolute paths name; directories are resolved once each."""
        names: dict[str, set[str]] = {}
        for path in filter(_can_exist, paths):
            directory, name = os.path.split(path)
            names.setdefault(directory, set()).add(name)
        for directory, within in names.items():
            self._add_points(directory)
            real = os.path.realpath(directory)
            if os.path.isdir(real):
                self.add(real, Interest(frozenset(within)))
                self._add_links(os.path.join(real, name) for name in within)

    def add_listing(self, listing: Listing) -> None:
        """Watch a source, its drop-ins, the targets of links in it, and the place of git's lock."""
        path = listing.source.path
        directory = path if listing.is_directory else os.path.dirname(path)
        if listing.is_directory:
            self.add(directory, Interest(has_specs=True))
        else:
            stem = os.path.splitext(os.path.basename(path))[0]
            self.add(directory, Interest(frozenset({COMMON, *(f"{stem}{e}.d" for e in ENDINGS)})))
        self._add_links(listing.files)
        for drop_ins in listing.drop_in_dirs:
            self._add_drop_ins(drop_ins)
        lock = git_lock_path(directory)
        if lock is not None:
            real = os.path.realpath(os.path.dirname(lock))
            self.add(real, Interest(frozenset({os.path.basename(lock)})))

    def _add_drop_ins(self, directory: str) -> None:
        if os.path.islink(directory):
            self._add_points(directory)
            directory = os.path.realpath(directory)
        self.add(directory, Interest(has_specs=True))
        with suppress(OSError), os.scandir(directory) as entries:  # the pass tells of what fails
            self._add_links([entry.path for entry in entries if entry.is_symlink()])

    def _add_links(self, files: Iterable[str]) -> None:
        for file in filter(os.path.islink, files):
            self._add_points(file)

    def _add_points(self, path: str) -> None:
        for directory, name in points_of(path):
            self.add(directory, Interest(frozenset({name})))


def _can_exist(path: str) -> bool:
    """Tell whether a file can have this path, as YAML may give it: no NUL, no lone surrogate."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def points_of(path: str) -> Iterator[tuple[str, str]]:
    """Yield each (real directory, name) whose change can change what `path` (absolute) names.

    These are the links on the way and what is at its end; or the first thing that is missing.
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
            if any(pending) and os.path.isdir(full):
                here = full
                continue
            yield here, name
            return
        yield here, name
        links += 1
        here = "/" if target.startswith("/") else here
        pending += target.split("/")[::-1]
