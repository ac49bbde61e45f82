"""What is mounted where, from /proc/PID/mountinfo: looked up as the kernel looks up a path. Pure.

Called by mounts. Source: proc(5), path_resolution(7).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

_ESCAPED = re.compile(r"\\(\d{3})")


class Mounted(NamedTuple):
    """One mount: its `root` in the file system, its `point`, and option words.

    `options` are the mount's, `of_filesystem` those of all mounts of the same file system; both
    begin with `ro` or `rw`.
    """

    number: int
    parent: int
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
        lines = os.fsdecode(text).split("\n")[:-1]
        self._by_number = {one.number: one for one in map(_parse, lines)}
        self._on: dict[str, Mounted] = {}
        inside: dict[int, list[Mounted]] = {}
        for one in self:
            inside.setdefault(one.parent, []).append(one)
        root = next((one for one in self if self._is_root(one)), None)
        if root is not None:
            self._enter(root, inside)

    def __iter__(self) -> Iterator[Mounted]:
        return iter(self._by_number.values())

    def get(self, number: int) -> Mounted | None:
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

    def _is_root(self, one: Mounted) -> bool:
        return one.point == "/" and (one.parent not in self._by_number or one.parent == one.number)

    def _enter(self, one: Mounted, inside: dict[int, list[Mounted]]) -> None:
        """Note what a path that comes to this mount's point finds there, and below it.

        What is mounted on its root hides all of it; what is mounted on the way to a mount that.
        """
        inner = [other for other in inside.get(one.number, ()) if other is not one]
        on_top = next((other for other in inner if other.point == one.point), None)
        if on_top is not None:
            self._enter(on_top, inside)
            return
        self._on[one.point] = one
        points = {other.point for other in inner}
        for other in inner:
            if not any(above in points for above in _above(other.point, one.point)):
                self._enter(other, inside)


def _above(path: str, top: str) -> list[str]:
    """Return the directories above a path, up to `top`."""
    found = []
    while len(path := path.rpartition("/")[0]) > len(top):
        found.append(path)
    return found


def is_below(path: str, top: str) -> bool:
    """Tell whether a path is `top` or below it."""
    return top in (path, "/") or path.startswith(f"{top}/")


def _parse(line: str) -> Mounted:
    """Return a line as `36 35 98:0 /sub /point rw,noatime master:1 - ext4 /dev/root rw`."""
    words = line.split(" ")
    number, parent, _, root, point, options = words[:6]
    kind = words.index("-", 6) + 1
    if "\\" in line:
        root, point = _decode(root), _decode(point)
    return Mounted(int(number), int(parent), root, point, options, words[kind], words[kind + 2])


def _decode(path: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), path)
