"""What is done to containers that run: exec, pause, resume, update, destroy; runc's exec beside.

By the engine in this process, as a daemon does it; runc with its own start, which is what its
user pays.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack

from reconciler.engine.container import Container
from reconciler.model.config import (
    Command,
    Config,
    CpuLimits,
    MemoryLimits,
    PidsLimits,
    Resources,
    Rootfs,
)
from reconciler.model.state import Status
from tests.bench.place import Place, make_place
from tests.bench.report import judge, median_ms, say, spread_ms
from tests.bench.runc import Runc, make_runc

EXEC_TO_RUNC = 1 / 8
VERB_MS = 1.0
DESTROY_MS = 5.0

_ID = "c1"
_RUNC_PARENT = "reconciler-bench-runc"
_TRUE = Command(argv=("/bin/true",))


def measure(*, short: bool) -> None:
    """Measure and print."""
    rounds, many = (15, 20) if short else (60, 100)
    with ExitStack() as stack:
        place = stack.enter_context(make_place())
        stack.callback(place.engine.exits().close)
        config = Config(command=("/bin/sleep", "1000"), rootfs=Rootfs(path=str(place.rootfs)))
        container = place.engine.create(_ID, config)
        container.start()
        runc = _start_by_runc(stack, place, config)
        _measure_exec(container, runc, rounds)
        _measure_live(place, container, rounds)
        _measure_destroy(place, config, many)


def _start_by_runc(stack: ExitStack, place: Place, config: Config) -> Runc | None:
    if shutil.which("runc") is None:
        return None
    bases = place.engine.driver.base_paths()
    runc = stack.enter_context(make_runc(place.base / "runc", bases, _RUNC_PARENT))
    runc.make_bundle(_ID, config, _RUNC_PARENT)
    null = subprocess.DEVNULL
    subprocess.run(runc.command(_ID, "-d"), stdin=null, stdout=null, stderr=null, check=True)
    return runc


def _time(work: Callable[[], object]) -> int:
    begin = time.monotonic_ns()
    work()
    return time.monotonic_ns() - begin


def _measure_exec(container: Container, runc: Runc | None, rounds: int) -> None:
    ours: list[int] = []
    theirs: list[int] = []
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for _ in range(rounds):
        ours.append(_time(lambda: _execute(container, null)))
        if runc is not None:
            theirs.append(_time(lambda: runc.execute(_ID, "/bin/true")))
    os.close(null)
    parts = [f"engine {median_ms(ours):.2f} ms ({spread_ms(ours)})"]
    if theirs:
        parts[0] += f", runc exec {median_ms(theirs):.2f} ms ({spread_ms(theirs)})"
        parts.append(judge("engine/runc", median_ms(ours) / median_ms(theirs), EXEC_TO_RUNC))
    say("exec", *parts)


def _execute(container: Container, null: int) -> None:
    with container.execute(_TRUE, [null, null, null]) as session:
        session.wait(30)


def _measure_live(place: Place, container: Container, rounds: int) -> None:
    samples: dict[str, list[int]] = {"pause": [], "resume": [], "update": []}
    limits = Resources(
        memory=MemoryLimits(max_bytes=64 * 2**20),
        cpu=CpuLimits(max_milli=1000),
        pids=PidsLimits(max=64),
    )
    others = Resources(
        memory=MemoryLimits(max_bytes=80 * 2**20),
        cpu=CpuLimits(max_milli=900),
        pids=PidsLimits(max=65),
    )
    can_limit = not place.engine.driver.unsupported(limits)
    for turn in range(rounds):
        samples["pause"].append(_time(lambda: _pause(container)))
        samples["resume"].append(_time(container.resume))
        if can_limit:
            wanted = limits if turn % 2 else others
            samples["update"].append(_time(lambda wanted=wanted: container.set(wanted)))  # type: ignore[misc]
    for name, ns in samples.items():
        if ns:
            what = f"median of {spread_ms(ns)} ms"
            say(name, what, judge(name, median_ms(ns), VERB_MS, " ms"))


def _pause(container: Container) -> None:
    """Pause it, and wait until it is paused."""
    container.pause()
    while container.status() is not Status.PAUSED:
        continue


def _measure_destroy(place: Place, config: Config, many: int) -> None:
    containers = [place.engine.create(f"d{index}", config) for index in range(many)]
    for container in containers:
        container.start()
    ns = [_time(container.destroy) for container in containers]
    what = f"{many} containers, one after the other"
    say("destroy", what, judge("each", median_ms(ns), DESTROY_MS, " ms"), spread_ms(ns))
