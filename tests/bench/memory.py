"""(d) Memory of all our own processes: the monitor and a `watch` daemon, by number of containers.

PSS shares what several processes map among them, RSS counts it for each: the sum of PSS is what
the host pays, the sum of RSS what `ps` shows. Source: proc(5), smaps_rollup.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.bench.daemon import await_quiet, monitor_pid, run_watch
from tests.bench.place import make_place
from tests.bench.report import judge, say

TOTAL_MIB = 60.0
EACH_KIB = 100.0


class Memory(NamedTuple):
    """Sums over our processes, in KiB."""

    pss: int
    rss: int


def measure(*, short: bool) -> None:
    """Measure and print."""
    counts = (1, 50, 150) if short else (1, 100, 500)
    sums: list[Memory] = []
    with make_place() as place, run_watch(place) as daemon_pid:
        for count in counts:
            place.grow(count)
            await_quiet(place, daemon_pid, count)
            pids = {"monitor": monitor_pid(place), "watch": daemon_pid}
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
