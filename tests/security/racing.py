"""An attacker that exchanges two names as fast as it can, and what a runtime made meanwhile."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_EXCHANGE = """
import ctypes, sys
libc = ctypes.CDLL(None)
one, two = (name.encode() for name in sys.argv[1:])
assert libc.renameat2(-100, one, -100, two, 2) == 0
print("racing", flush=True)
while True:
    libc.renameat2(-100, one, -100, two, 2)  # RENAME_EXCHANGE
"""


@contextlib.contextmanager
def exchanging(one: Path, two: Path) -> Iterator[None]:
    """Have another process exchange two names without end (renameat2(2))."""
    command = [sys.executable, "-c", _EXCHANGE, str(one), str(two)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as racer:
        try:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "racing\n"
            yield
            assert racer.poll() is None
        finally:
            racer.kill()


class MountRow(NamedTuple):
    """One line of mountinfo (proc(5))."""

    number: str
    parent: str
    root: str
    point: str
    options: set[str]
    fs_type: str


def mount_rows(text: str) -> list[MountRow]:
    """Return the lines of a mountinfo file."""
    rows = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        number, parent, _, root, point, options = left.split()[:6]
        fs_type = right.split()[0]
        rows.append(MountRow(number, parent, root, point, set(options.split(",")), fs_type))
    return rows


def open_procs(text: str) -> list[str]:
    """Return where in a mountinfo there is a procfs that lacks a mask, or the lock on its sys."""
    rows = mount_rows(text)
    found = []
    for proc in rows:
        if proc.fs_type != "proc" or proc.root != "/":
            continue
        on_it = [row for row in rows if row.parent == proc.number]
        null = [row for row in on_it if row.root == "/null" and row.point.endswith("/keys")]
        locked = [row for row in on_it if row.root == "/sys" and "ro" in row.options]
        if not null or not locked:
            found.append(proc.point)
    return found
