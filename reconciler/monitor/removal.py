"""Remove a tree as root of a user namespace of its own: a program of one thread.

Run by the engine, with the arguments PATH UID_MAP GID_MAP (lines of inside, outside, size). Ends
with 1, and says why on standard error, where that fails.
"""

from __future__ import annotations

import os
import sys

from reconciler.lean import NamedTuple
from reconciler.linux.process import CloneFlag
from reconciler.monitor.launch import launch, parse_status, read_status
from reconciler.monitor.steps.context import Context


class RemoveTree(NamedTuple):
    """Remove a directory and all below, and end."""

    path: str

    def describe(self) -> str:
        return f"remove {self.path}"

    def execute(self, context: Context) -> None:
        import shutil

        shutil.rmtree(self.path)
        os._exit(0)


def main() -> None:
    """Do it."""
    path, uids, gids = sys.argv[1:]
    maps = {"uid": uids, "gid": gids}
    try:
        launched = launch([RemoveTree(path)], int(CloneFlag.NEWUSER), None, id_maps=maps)
    except OSError as error:
        sys.exit(str(error))
    os.waitpid(launched.pid, 0)
    _, failure = parse_status(read_status(launched.status_fd, b"")[0])
    if failure is not None:
        sys.exit(f"{failure['text']}: {failure['path']}")
