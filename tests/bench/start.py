"""(a) One container from nothing to nothing: create, start, exit, remove.

By the engine in this process (its monitor runs already), by a C program that makes the same
system calls, and by `runc run` and `crun run` of an equal bundle; interleaved, so that all have
the same weather. The engine's and the C program's figures are without their own start, those of
runc and crun with it: that is what their users pay. All have a network namespace of their own.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack

from reconciler.engine.engine import Engine
from reconciler.model.config import Config, CpuLimits, MemoryLimits, PidsLimits, Resources, Rootfs
from tests.bench.crun import make_crun
from tests.bench.daemon import family_cpu_ns, monitor_pid
from tests.bench.limit import make_limit
from tests.bench.place import Place, make_place
from tests.bench.report import judge, median_ms, say, spread_ms
from tests.bench.runc import make_runc

ENGINE_TO_C = 1.6
ENGINE_TO_RUNC = 1 / 8
ENGINE_TO_CRUN = 1.0

_ID = "c1"
_RUNC_PARENT = "reconciler-bench-runc"
_BATCH, _RUNC_BATCH = 5, 2


def measure(*, short: bool) -> None:
    """Measure and print."""
    rounds = 10 if short else 40
    engine_ns: list[int] = []
    limit_ns: list[int] = []
    runc_ns: list[int] = []
    crun_ns: list[int] = []
    with ExitStack() as stack:
        place = stack.enter_context(make_place())
        engine = place.engine
        config = _make_config(place)
        stack.callback(engine.exits().close)  # keeps the monitor while others are measured
        _run_by_engine(engine, config)  # makes what all later ones share
        limit = stack.enter_context(make_limit(place.base, engine, engine.create(_ID, config)))
        runc = crun = None
        if shutil.which("runc"):
            bases = engine.driver.base_paths()
            runc = stack.enter_context(make_runc(place.base / "runc", bases, _RUNC_PARENT))
            runc.make_bundle(_ID, config, _RUNC_PARENT)
            bundle = place.base / "runc" / _ID
            crun = stack.enter_context(make_crun(place.base, bundle, _ID))
        ours, theirs = (os.getpid(), monitor_pid(place)), limit.pid
        cpus = [0, 0]
        for _ in range(rounds):
            before = sum(map(family_cpu_ns, ours)), family_cpu_ns(theirs)
            engine_ns += [_run_by_engine(engine, config) for _ in range(_BATCH)]
            cpus[0] += sum(map(family_cpu_ns, ours)) - before[0]
            limit_ns += limit.run(_BATCH)
            cpus[1] += family_cpu_ns(theirs) - before[1]
            if runc is not None:
                for _ in range(_RUNC_BATCH):
                    begin = time.monotonic_ns()
                    runc.run(_ID)
                    runc_ns.append(time.monotonic_ns() - begin)
            if crun is not None:
                crun_ns += [crun.run() for _ in range(_RUNC_BATCH)]
    _report(engine_ns, limit_ns, runc_ns, crun_ns)
    say("start", f"CPU time: engine/C {cpus[0] / cpus[1]:.2f}")


def _make_config(place: Place) -> Config:
    """Return /bin/true in the busybox root, with those of three limits that this host has."""
    limits = Resources(
        memory=MemoryLimits(max_bytes=64 * 2**20),
        cpu=CpuLimits(max_milli=1000),
        pids=PidsLimits(max=64),
    )
    missing = place.engine.driver.unsupported(limits)
    if missing:
        say("start", f"without limits, for {missing[0].field}: {missing[0].reason}")
        limits = Resources()
    root = Rootfs(path=str(place.rootfs))
    return Config(command=("/bin/true",), rootfs=root, resources=limits)


def _run_by_engine(engine: Engine, config: Config) -> int:
    begin = time.monotonic_ns()
    container = engine.create(_ID, config)
    container.start().wait(30)
    container.destroy()
    return time.monotonic_ns() - begin


def _report(
    engine_ns: list[int], limit_ns: list[int], runc_ns: list[int], crun_ns: list[int]
) -> None:
    figures = [("engine", engine_ns), ("C limit", limit_ns)]
    ratios = [judge("engine/C", median_ms(engine_ns) / median_ms(limit_ns), ENGINE_TO_C)]
    if runc_ns:
        figures.append(("runc", runc_ns))
        ratio = median_ms(engine_ns) / median_ms(runc_ns)
        ratios.append(judge("engine/runc", ratio, ENGINE_TO_RUNC))
    if crun_ns:
        figures.append(("crun", crun_ns))
        ratio = median_ms(engine_ns) / median_ms(crun_ns)
        ratios.append(judge("engine/crun", ratio, ENGINE_TO_CRUN))
    medians = [f"{name} {median_ms(ns):.2f} ms ({spread_ms(ns)})" for name, ns in figures]
    say("start", ", ".join(medians), *ratios)
