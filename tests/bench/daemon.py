"""A `reconciler watch` for the time of a benchmark, and what its processes cost.

CPU time is /proc/PID/schedstat's, in nanoseconds: /proc/PID/stat counts in hundredths of a second.
Source: proc(5), scheduler/sched-stats.rst.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.bench.place import Place

_PATIENCE_S = 300.0
_QUIET_NS = 5_000_000
_QUIET_S = 0.25


@contextlib.contextmanager
def run_watch(place: Place, *options: str) -> Iterator[int]:
    """Run the daemon; give its pid."""
    with (place.base / "watch.log").open("w") as log:
        daemon = subprocess.Popen(
            place.command("watch", *options, str(place.specs)),
            env=place.environ,
            cwd=place.base,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            yield daemon.pid
        finally:
            daemon.terminate()
            daemon.wait(30)


def await_quiet(place: Place, daemon_pid: int, count: int) -> None:
    """Wait until all run and the daemon has had nothing to do for a while. Raises: TimeoutError."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        before = cpu_ns([daemon_pid])
        time.sleep(_QUIET_S)
        if cpu_ns([daemon_pid]) - before <= _QUIET_NS and len(place.engine.store.ids()) == count:
            return
    raise TimeoutError(f"{count} containers do not run within {_PATIENCE_S:.0f} s")


def cpu_ns(pids: Iterable[int]) -> int:
    """Return the CPU time of processes with all their threads so far, in nanoseconds."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                total += int((task / "schedstat").read_text().split()[0])
    return total


def family_cpu_ns(pid: int) -> int:
    """Return the CPU time of a process and of its children that have ended (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[13]) + int(fields[14])
    return cpu_ns([pid]) + ticks * 10**9 // os.sysconf("SC_CLK_TCK")


def monitor_pid(place: Place) -> int:
    """Return the monitor's pid."""
    return int(place.engine.monitor.ping()["pid"])


class Bell:
    """A FIFO that a started command writes a line to: its first instruction, as seen by us."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def await_ring(self, timeout_s: float = 30) -> int:
        """Return when it rang (monotonic nanoseconds). Raises: TimeoutError."""
        if not select.select([self._fd], [], [], timeout_s)[0]:
            raise TimeoutError(f"no command has started within {timeout_s:.0f} s")
        now = time.monotonic_ns()
        os.read(self._fd, 65536)
        return now

    def close(self) -> None:
        """Close the FIFO; its file goes with the place."""
        os.close(self._fd)
