"""podman on the same work: containers of runc from a root directory, no image, no network.

Quadlet turns files into systemd units that run `podman`; without systemd what can be compared is
that `podman`, one process a verb. It lacks nothing of ours but limits on what it may use itself:
the resource limits are lowered, as it sets higher ones than a restricted root may.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from reconciler.linux.mount import unmount
from tests.bench.runc import cgroup_mounts

_PARENT = "reconciler-bench-podman"
_PATIENCE_S = 10.0
_QUADLETS = (
    "/usr/libexec/podman/quadlet",
    "/usr/lib/podman/quadlet",
    "/usr/lib/systemd/system-generators/podman-system-generator",
)


def has_podman() -> bool:
    """Tell whether podman and the runc that it uses are there."""
    return shutil.which("podman") is not None and shutil.which("runc") is not None


def find_quadlet() -> str | None:
    """Return Quadlet's generator (podman 4.4 and later), None when there is none."""
    return next((path for path in _QUADLETS if os.access(path, os.X_OK)), None)


class Podman:
    """podman with all its state below `base`."""

    def __init__(self, base: Path, cgroup_parent: str) -> None:
        self._parent = cgroup_parent
        self._command = ["podman", "--root", str(base / "root"), "--runroot", str(base / "run")]
        self._command += ["--tmpdir", str(base / "tmp"), "--runtime", "runc"]
        self._command += ["--cgroup-manager", "cgroupfs", "--storage-driver", "vfs"]
        self._command += ["--events-backend", "none"]

    def run(self, name: str, rootfs: Path, command: list[str], *options: str) -> None:
        """Create and start a container. Raises: CalledProcessError."""
        limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
        place = ["--network", "none", "--cgroup-parent", self._parent, "--log-driver", "none"]
        self.call(
            *("run", "-d", "--name", name, *limits, *place, *options),
            *("--rootfs", str(rootfs), *command),
        )

    def call(self, *arguments: str) -> str:
        """Run a verb and return what it prints. Raises: CalledProcessError."""
        done = subprocess.run(
            [*self._command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            error = subprocess.CalledProcessError(done.returncode, done.args)
            error.add_note(done.stderr[-2000:])
            raise error
        return done.stdout

    def pid_of(self, name: str) -> int:
        """Return the pid of a container's init."""
        return int(self.call("inspect", "-f", "{{.State.Pid}}", name))


@contextlib.contextmanager
def make_podman(base: Path) -> Iterator[Podman]:
    """Give a Podman; afterwards its containers are gone, and their cgroups."""
    own = _own_cgroup()
    podman = Podman(base, f"{own}/{_PARENT}")
    parents = [f"{mount}{own}" for mount in cgroup_mounts()]
    missing = [path for path in parents if not os.path.isdir(path)]
    try:
        yield podman
    finally:
        podman.call("rm", "--force", "--all", "--time", "0")
        _unmount_below(base)
        for path in parents:
            _remove_tree(f"{path}/{_PARENT}")
        for path in missing:  # podman has made our own path in these hierarchies too
            with contextlib.suppress(FileNotFoundError):
                os.removedirs(path)


def _unmount_below(base: Path) -> None:
    """Unmount what podman keeps mounted for its storage."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    for target in reversed([line.split()[4] for line in lines]):
        if target.startswith(f"{base}/"):
            unmount(target)


def _remove_tree(path: str) -> None:
    """Remove a cgroup and those below it, once podman's helpers have left them."""
    deadline = time.monotonic() + _PATIENCE_S
    for directory, _, _ in os.walk(path, topdown=False):
        while True:
            try:
                os.rmdir(directory)
                break
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def _own_cgroup() -> str:
    """Return the longest of our own cgroups: podman uses one path in all hierarchies."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return max((line.split(":", 2)[2] for line in lines), key=len).rstrip("/")
