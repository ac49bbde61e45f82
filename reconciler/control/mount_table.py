"""What is mounted where, from /proc/PID/mountinfo: looked up as the kernel looks up a path. Pure.

Called by mounts. Source: proc(5), path_resolution(7).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

# 36 35 98:0 /sub /point rw,noatime master:1 - ext4 /dev/root rw
_LINE = re.compile(r"^(\d+) (\d+) \S+ (\S+) (\S+) (\S+)(?: \S+)*? - (\S+) \S* (\S+)$", re.MULTILINE)
_ESCAPED = re.compile(r"\\(\d{3})")


class Mounted(NamedTuple):
    """One mount: its `root` in the file system, its `point`, and option words.

    `options` are the mount's, `of_filesystem` those of all mounts of the same file system; both
    begin with `ro` or `rw`.
    """

    number: str
    parent: str
    root: str
    point: str
    options: str
    kind: str
    of_filesystem: str

    def is_readonly(self) -> bool:
        """Tell whether nothing can be written through it."""
        return self.options.startswith("ro") or self.is_filesystem_readonly()

    def is_filesystem_readonly(self) -> bool:
        """Tell whether nothing can be written to its file system, wherever it is mounted."""
        return self.of_filesystem.startswith("ro")

    def has(self, word: str) -> bool:
        """Tell whether the mount has an option, as `nosuid`."""
        return word in self.options.split(",")

    def is_null(self) -> bool:
        """Tell whether it is a null device in a place of its own: what masks a file."""
        return self.root == "/null" and self.kind in ("tmpfs", "devtmpfs")

    def is_mask(self) -> bool:
        """Tell whether it is what the engine hides a path with."""
        return self.is_null() or (self.kind == "tmpfs" and self.options.startswith("ro"))


class MountTable:
    """All mounts of a process; `text` is its mountinfo."""

    def __init__(self, text: bytes) -> None:
        mounts = list(map(Mounted._make, _LINE.findall(os.fsdecode(text))))
        if b"\\" in text:
            mounts = list(map(_decoded, mounts))
        self._by_number = {one.number: one for one in mounts}
        self._on: dict[str, Mounted] = {}
        inside: dict[str, list[Mounted]] = {}
        root = None
        for one in mounts:
            if one.parent in self._by_number and one.parent != one.number:
                inside.setdefault(one.parent, []).append(one)
            elif one.point == "/":
                root = one
        if root is not None:
            self._enter(root, inside)

    def __iter__(self) -> Iterator[Mounted]:
        return iter(self._by_number.values())

    def get(self, number: str) -> Mounted | None:
        """Return the mount with this identity, None when there is none."""
        return self._by_number.get(number)

    def on(self, path: str) -> Mounted | None:
        """Return what is mounted on a path without symbolic links, None when that is nothing."""
        return self._on.get(path)

    def at(self, path: str) -> Mounted | None:
        """Return the mount that a path without symbolic links is in; None without a root."""
        while path != "/" and path not in self._on:
            path = path.rpartition("/")[0] or "/"
        return self._on.get(path)

    def _enter(self, one: Mounted, inside: dict[str, list[Mounted]]) -> None:
        """Note what a path that comes to this mount's point finds there, and below it.

        What is mounted on its root hides all of it; what is mounted on the way to a mount that.
        """
        inner = inside.get(one.number)
        if inner is None:
            self._on[one.point] = one
            return
        points = {other.point: other for other in inner}
        if one.point in points:
            self._enter(points[one.point], inside)
            return
        self._on[one.point] = one
        for other in inner:
            if not _is_hidden(other.point, one.point, points):
                self._enter(other, inside)


def _is_hidden(path: str, top: str, points: Mapping[str, Mounted]) -> bool:
    """Tell whether something is mounted on a directory between `top` and a path."""
    above = path.rpartition("/")[0]
    while len(above) > len(top):
        if above in points:
            return True
        above = above.rpartition("/")[0]
    return False


def is_below(path: str, top: str) -> bool:
    """Tell whether a path is `top` or below it."""
    return top in (path, "/") or path.startswith(f"{top}/")


def _decoded(one: Mounted) -> Mounted:
    """Return a mount with what stands for blanks in its paths, `\\040`, as they are."""
    return one._replace(root=_decode(one.root), point=_decode(one.point))


def _decode(path: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), path)
