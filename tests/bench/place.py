"""Where a benchmark runs: directories, a busybox root, an engine of its own; removed afterwards.

Called by the benchmarks. All of it, runc's state too, is on a tmpfs, as /run is on a host: a
disk's journal is not what is measured. Everything is taken away again, on an error or Ctrl-C
too: containers, cgroups, the monitor, files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler import Engine
from reconciler.linux.mount import MountFlag, mount, unmount

BUSYBOX = "/bin/busybox"
PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One instance of the reconciler with nothing in it, and a root file system for containers."""

    base: Path
    rootfs: Path
    specs: Path
    engine: Engine

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment in which `python -m reconciler` is this instance.

        Without Python's own variables: PYTHONDONTWRITEBYTECODE would have every process compile
        all modules again, which no installed program does.
        """
        own = {
            "RECONCILER_RUN_DIR": self.engine.run_dir,
            "RECONCILER_STATE_DIR": self.engine.state_dir,
            "PYTHONPATH": str(PROJECT),
        }
        inherited = {key: text for key, text in os.environ.items() if not key.startswith("PYTHON")}
        return inherited | own

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a verb."""
        return [sys.executable, "-m", "reconciler", *arguments]

    def run(self, *arguments: str) -> None:
        """Run a verb to its end. Raises: CalledProcessError, with what it said in a note."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environ,
            cwd=self.base,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            error = subprocess.CalledProcessError(done.returncode, done.args)
            error.add_note((done.stdout + done.stderr)[-4000:])
            raise error

    def clear(self) -> None:
        """Destroy all containers and let the monitor end."""
        for container in self.engine.list():
            container.destroy()
        for error in self.engine.list_corrupt():
            self.engine.handle(str(error.container)).destroy()
        self.engine.monitor.retire()

    def write_spec(self, name: str) -> None:
        """Write the spec of a service that sleeps for ever, at once and whole."""
        text = f"command: [/bin/sleep, infinity]\nrootfs: {{path: {self.rootfs}}}\n"
        temporary = self.base / "spec.tmp"
        temporary.write_text(text)
        temporary.rename(self.specs / f"{name}.yaml")

    def grow(self, count: int) -> None:
        """Have `count` services in the source directory."""
        for index in range(count):
            if not (self.specs / f"c{index}.yaml").exists():
                self.write_spec(f"c{index}")


@contextlib.contextmanager
def make_place() -> Iterator[Place]:
    """Give a Place for the time of a benchmark."""
    base = Path(tempfile.mkdtemp(prefix="rcb-", dir="/tmp"))
    mount("tmpfs", str(base), "tmpfs", MountFlag.NODEV, "mode=755")
    try:
        place = Place(
            base=base,
            rootfs=_make_rootfs(base / "root"),
            specs=base / "specs",
            engine=Engine(run_dir=str(base / "run"), state_dir=str(base / "state")),
        )
        place.specs.mkdir()
        try:
            yield place
        finally:
            place.clear()
    finally:
        unmount(str(base))
        base.rmdir()


def _make_rootfs(root: Path) -> Path:
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for name in ("true", "sleep"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    return root
