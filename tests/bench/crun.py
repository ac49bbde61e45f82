"""crun beside the engine: runs it in a mount namespace where it takes this host's cgroups.

On a hybrid host crun takes the cgroup2 mount for the only one when that has a cgroup.controllers
file with controllers in it, and fails. In a process with private mounts an empty file covers it.
As a program (`python -m tests.bench.crun COMMAND...`) it runs the command once for each line on
standard input and prints its nanoseconds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from reconciler.cgroup.detect import Mode, detect
from reconciler.linux.mount import MountFlag, mount
from reconciler.linux.process import CloneFlag, unshare
from tests.bench.place import PROJECT


class Crun:
    """The running helper: `run()` is one container."""

    def __init__(self, helper: subprocess.Popen[str]) -> None:
        self._helper = helper

    def run(self) -> int:
        """Return the nanoseconds of one `crun run`. Raises: ChildProcessError."""
        assert self._helper.stdin is not None
        assert self._helper.stdout is not None
        self._helper.stdin.write("\n")
        self._helper.stdin.flush()
        line = self._helper.stdout.readline()
        if not line:
            raise ChildProcessError("crun has failed: see what it wrote above")
        return int(line)


@contextlib.contextmanager
def make_crun(base: Path, bundle: Path, container_id: str) -> Iterator[Crun | None]:
    """Give a Crun for a bundle; None where there is no crun."""
    if shutil.which("crun") is None:
        yield None
        return
    command = ["crun", "--root", str(base / "crun"), "run", "--bundle", str(bundle), container_id]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.crun", *command],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as helper:
        yield Crun(helper)


def _main(command: list[str]) -> None:
    hierarchies = detect()
    if hierarchies.mode is Mode.HYBRID and hierarchies.unified is not None:
        unshare(CloneFlag.NEWNS)
        mount(None, "/", None, MountFlag.REC | MountFlag.PRIVATE)
        target = f"{hierarchies.unified.mount_point}/cgroup.controllers"
        cover = f"/tmp/.bench-empty-{os.getpid()}"
        Path(cover).touch()
        mount(cover, target, None, MountFlag.BIND)
        os.unlink(cover)
    for _ in sys.stdin:
        begin = time.monotonic_ns()
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            sys.exit(1)
        print(time.monotonic_ns() - begin, flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
