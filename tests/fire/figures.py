"""What a daemon and a monitor hold at one moment, as the kernel counts it.

Called by the soak: what grows from round to round though as much is there as before, is lost.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.e2e import kernel
from tests.e2e.instance import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts, and `pss_kib`: the memory of both processes, shared pages divided among sharers."""

    fds: int
    threads: int
    watches: int
    zombies: int
    cgroups: int
    mounts: int
    run_files: int
    state_files: int
    pss_kib: int

    def counts(self) -> dict[str, int]:
        """Return all that must be exactly as before when as many containers run."""
        return {key: value for key, value in asdict(self).items() if key != "pss_kib"}


def take_figures(instance: Instance, daemon: int) -> Figures:
    """Return the figures of a daemon and the instance's one monitor."""
    (monitor,) = instance.monitors()
    pids = (daemon, monitor)
    roots = [path for path in _instance_roots(instance) if path.exists()]
    return Figures(
        fds=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        threads=sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids),
        watches=sum(_watches(pid) for pid in pids),
        zombies=sum(_zombies_of(pid) for pid in pids),
        cgroups=sum(sum(path.is_dir() for path in root.iterdir()) for root in roots),
        mounts=len(kernel.mounts_below(instance.base)),
        run_files=_files(instance.run_dir),
        state_files=_files(instance.state_dir / "logs"),
        pss_kib=sum(_pss_kib(pid) for pid in pids),
    )


def _instance_roots(instance: Instance) -> set[Path]:
    if not instance.cgroups:
        instance.items()
    return instance.cgroups


def _watches(pid: int) -> int:
    """Return how many inotify watches a process has (proc(5), fdinfo)."""
    texts = (kernel.if_alive(path.read_text) for path in Path(f"/proc/{pid}/fdinfo").iterdir())
    return sum((text or "").count("inotify wd:") for text in texts)


def _zombies_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(_state(int(child)).startswith("Z") for child in children)


def _state(pid: int) -> str:
    return kernel.if_alive(lambda: kernel.proc_status(pid)["State"]) or ""


def _files(directory: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(directory))


def _pss_kib(pid: int) -> int:
    match = re.search(r"^Pss:\s+(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    assert match is not None
    return int(match[1])
