"""(c) What it costs to find that there is nothing to do, and to start at all.

The time of a whole `reconciler apply` process with 1, some and many containers that are as
their specs say: the slope is our time for each container, and two slopes show whether it is
linear. `reconciler version` against `python -c pass` is the start-up alone. All interleaved.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack

from tests.bench.place import Place, make_place
from tests.bench.report import judge, median_ms, say, spread_ms

EACH_MS = 1.0
START_UP_TO_PYTHON = 3.0
LINEAR = 1.5  # the second slope may be so many times the first


def measure(*, short: bool) -> None:
    """Measure and print."""
    counts = (1, 50, 200) if short else (1, 100, 1000)
    with ExitStack() as stack:
        places = [stack.enter_context(make_place()) for _ in counts]
        _measure_start_up(places[0], 10 if short else 30)
        for place, count in zip(places, counts, strict=True):
            place.grow(count)
            place.run("apply", str(place.specs))
        commands = [place.command("apply", str(place.specs)) for place in places]
        times = _interleave(places, commands, 5 if short else 9)
    _report_slopes(counts, [median_ms(samples) for samples in times])


def _measure_start_up(place: Place, rounds: int) -> None:
    entry = os.path.join(os.path.dirname(sys.executable), "reconciler")
    installed = [entry, "version"] if os.path.exists(entry) else place.command("version")
    commands = [installed, [sys.executable, "-c", "pass"]]
    samples = _interleave([place, place], commands, rounds)
    ours, python = map(median_ms, samples)
    what = "reconciler version" if installed[0] == entry else "python -m reconciler version"
    say(
        "start-up",
        f"{what} {ours:.1f} ms ({spread_ms(samples[0])}), python -c pass {python:.1f} ms",
        judge("ratio", ours / python, START_UP_TO_PYTHON),
    )


def _interleave(places: list[Place], commands: list[list[str]], rounds: int) -> list[list[int]]:
    """Return the nanoseconds of each run of each command."""
    samples: list[list[int]] = [[] for _ in commands]
    for _ in range(rounds):
        for place, command, into in zip(places, commands, samples, strict=True):
            into.append(_time(place, command))
    return samples


def _report_slopes(counts: tuple[int, ...], times: list[float]) -> None:
    first, second = (
        (times[i + 1] - times[i]) / (counts[i + 1] - counts[i]) for i in range(len(counts) - 1)
    )
    whole = (times[-1] - times[0]) / (counts[-1] - counts[0])
    wholes = ", ".join(f"{n}: {ms:.0f} ms" for n, ms in zip(counts, times, strict=True))
    say("idle", f"apply with nothing to do, by containers: {wholes}")
    say(
        "idle",
        judge("each container", whole, EACH_MS, " ms"),
        f"from {counts[0]} to {counts[1]} {first:.3f} ms, to {counts[2]} {second:.3f} ms",
        judge("linear: second/first slope", second / first, LINEAR)
        if first > 0
        else "linear: cannot tell, the first slope is lost in the noise",
    )


def _time(place: Place, command: list[str]) -> int:
    begin = time.monotonic_ns()
    subprocess.run(
        command,
        env=place.environ,
        cwd=place.base,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic_ns() - begin
