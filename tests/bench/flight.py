"""Eight starts in flight at once: what they gain on one after the other, and the CPUs they use.

The monitor clones one container after the other; what takes time, the set-up inside, is done by
the containers themselves, side by side. CPUs in use are those of this process, the monitor and
the containers, by CPU time.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reconciler.engine.container import Container
from reconciler.model.config import Config, Rootfs
from tests.bench.daemon import monitor_pid
from tests.bench.place import Place, make_place
from tests.bench.report import judge_least, say

AT_ONCE = 8
CPUS = 1.6  # of two


def measure(*, short: bool) -> None:
    """Measure and print."""
    rounds = 3 if short else 10
    alone_s, flight_s, cpu_s = 0.0, 0.0, 0.0
    with make_place() as place:
        subscription = place.engine.exits()
        _run(place, 1)
        monitor = monitor_pid(place)
        for _ in range(rounds):
            alone_s += _run(place, 1)
            before = _cpu_s(monitor)
            flight_s += _run(place, AT_ONCE)
            cpu_s += _cpu_s(monitor) - before
        subscription.close()
    count = rounds * 2 * AT_ONCE
    each = f"one after the other {alone_s / count * 1e3:.1f} ms each"
    at_once = f"{AT_ONCE} at once {flight_s / count * 1e3:.1f} ms each"
    gain = f"{alone_s / flight_s:.2f} x as fast"
    cpus = judge_least("CPUs in use", cpu_s / flight_s, min(CPUS, len(os.sched_getaffinity(0))))
    say("flight", f"{each}, {at_once}", gain, cpus)


def _run(place: Place, threads: int) -> float:
    """Return the seconds that it takes to start twice as many containers as are at once."""
    config = Config(command=("/bin/sleep", "1000"), rootfs=Rootfs(path=str(place.rootfs)))
    containers = [place.engine.create(f"f{index}", config) for index in range(2 * AT_ONCE)]
    with ThreadPoolExecutor(threads) as pool:
        begin = time.monotonic()
        list(pool.map(Container.start, containers))
        taken = time.monotonic() - begin
    for container in containers:
        container.destroy()
    return taken


def _cpu_s(monitor: int) -> float:
    """Return the CPU seconds of us, the monitor and its containers that are no more (proc(5))."""
    fields = Path(f"/proc/{monitor}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(map(int, fields[11:15]))
    own = os.times()
    return ticks / os.sysconf("SC_CLK_TCK") + own.user + own.system
