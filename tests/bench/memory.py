"""(d) Memory of all our own processes: the monitor and a `watch` daemon, by number of containers.

PSS shares what several processes map among them, RSS counts it for each: the sum of PSS is what
the host pays, the sum of RSS what `ps` shows. Source: proc(5), smaps_rollup.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench.place import Place, make_place
from tests.bench.report import judge, say

TOTAL_MIB = 60.0
EACH_KIB = 100.0

_PATIENCE_S = 300.0
_QUIET_S = 1.0


class Memory(NamedTuple):
    """Sums over our processes, in KiB."""

    pss: int
    rss: int


def measure(*, short: bool) -> None:
    """Measure and print."""
    counts = (1, 50, 150) if short else (1, 100, 500)
    sums: list[Memory] = []
    with make_place() as place, _watch(place) as daemon_pid:
        for count in counts:
            place.grow(count)
            _await_quiet(place, daemon_pid, count)
            pids = {"monitor": _monitor_pid(place), "watch": daemon_pid}
            sums.append(_measure(pids, count))
    for name, index in (("PSS", 0), ("RSS", 1)):
        small, large = sums[1][index], sums[2][index]
        each = (large - small) / (counts[2] - counts[1])
        say(
            f"memory, {name}",
            judge(f"all with {counts[1]}", small / 1024, TOTAL_MIB, " MiB"),
            judge(f"each from {counts[1]} to {counts[2]}", each, EACH_KIB, " KiB"),
        )


def _measure(pids: dict[str, int], count: int) -> Memory:
    """Read and print what each process has, and return the sum."""
    each = {name: _read(pid) for name, pid in pids.items()}
    text = ", ".join(
        f"{name} PSS {memory.pss / 1024:.1f} RSS {memory.rss / 1024:.1f}"
        for name, memory in each.items()
    )
    say("memory", f"{count} containers: {text} MiB")
    return Memory(*map(sum, zip(*each.values(), strict=True)))


def _read(pid: int) -> Memory:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    fields = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return Memory(fields["Pss"], fields["Rss"])


@contextlib.contextmanager
def _watch(place: Place) -> Iterator[int]:
    """Run the daemon; give its pid."""
    with (place.base / "watch.log").open("w") as log:
        daemon = subprocess.Popen(
            place.command("watch", str(place.specs)),
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


def _await_quiet(place: Place, daemon_pid: int, count: int) -> None:
    """Wait until all run and the daemon has had nothing to do for a while. Raises: TimeoutError."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        before = _cpu_ticks(daemon_pid)
        time.sleep(_QUIET_S)
        if _cpu_ticks(daemon_pid) - before <= 1 and len(place.engine.store.ids()) == count:
            return
    raise TimeoutError(f"{count} containers do not run within {_PATIENCE_S:.0f} s")


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _monitor_pid(place: Place) -> int:
    return int(place.engine.monitor.ping()["pid"])
