"""Eight starts in flight at once: what they gain on one after the other, and the CPUs they use.

The monitor clones one container after the other; what takes time, the set-up inside, is done by
the containers themselves, side by side. CPUs in use are those of this process, the monitor and
the containers, by CPU time.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from reconciler.engine.container import Container
from reconciler.model.config import Config, Rootfs
from tests.bench.daemon import cpu_ns, monitor_pid
from tests.bench.place import Place, make_place
from tests.bench.report import judge_least, say

AT_ONCE = 8
CPUS = 1.6  # of two


class Run(NamedTuple):
    """How long the starts took, and the CPU time of all who took part."""

    taken_s: float
    cpu_s: float


def measure(*, short: bool) -> None:
    """Measure and print."""
    rounds = 3 if short else 10
    alone: list[Run] = []
    flight: list[Run] = []
    with make_place() as place:
        subscription = place.engine.exits()
        _run(place, 1)
        for _ in range(rounds):
            alone.append(_run(place, 1))
            flight.append(_run(place, AT_ONCE))
        subscription.close()
    alone_s, flight_s = (sum(run.taken_s for run in runs) for runs in (alone, flight))
    count = rounds * 2 * AT_ONCE
    each = f"one after the other {alone_s / count * 1e3:.1f} ms each"
    at_once = f"{AT_ONCE} at once {flight_s / count * 1e3:.1f} ms each"
    cpus = sum(run.cpu_s for run in flight) / flight_s
    wanted = min(CPUS, len(os.sched_getaffinity(0)))
    gain = f"{alone_s / flight_s:.2f} x as fast"
    say("flight", f"{each}, {at_once}: {gain}", judge_least("CPUs in use", cpus, wanted))


def _run(place: Place, threads: int) -> Run:
    """Start twice as many containers as are to be at once, with so many threads."""
    config = Config(command=("/bin/sleep", "1000"), rootfs=Rootfs(path=str(place.rootfs)))
    containers = [place.engine.create(f"f{index}", config) for index in range(2 * AT_ONCE)]
    ours = [os.getpid(), monitor_pid(place)]
    with ThreadPoolExecutor(threads) as pool:
        before, begin = cpu_ns(ours), time.monotonic()
        list(pool.map(Container.start, containers))
        taken_s = time.monotonic() - begin
        inits = [init.pid for one in containers if (init := one.record.init) is not None]
        spent_ns = cpu_ns([*ours, *inits]) - before
    for container in containers:
        container.destroy()
    return Run(taken_s, spent_ns / 1e9)
