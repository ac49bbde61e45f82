"""The threads of the scheduler: none without probes, few with many, all gone after the end."""

from __future__ import annotations

import threading
from pathlib import Path

from reconciler.control.notes import encode_spec
from reconciler.control.observe import observe
from reconciler.control.probes.scheduler import MAX_THREADS, ProbeScheduler
from reconciler.linux.clock import wall_s
from reconciler.model.spec import NS, Probe, Probes
from tests.fakes.engine import FakeEngine
from tests.unit.control.conftest import FakeClock
from tests.unit.planning.world_model import make_spec

PATIENCE_S = 30.0


def start(engine: FakeEngine, count: int, probes: Probes) -> None:
    for number in range(count):
        spec = make_spec(f"c{number}", probes=probes)
        engine.create(spec.name, spec.config, encode_spec(spec)).start()
        Path(engine.run_dir, "containers", spec.name).mkdir(parents=True)


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name in ("probes", "probe")]


def test_without_probes_there_is_no_thread(engine: FakeEngine, clock: FakeClock) -> None:
    start(engine, 3, Probes())
    scheduler = ProbeScheduler(engine, lambda: None)
    scheduler.look_after(observe(engine, clock).containers.values())
    assert threads() == []
    scheduler.close()


def test_many_probes_are_checked_by_a_few_threads_and_each_transition_wakes(
    engine: FakeEngine, clock: FakeClock
) -> None:
    clock.now = wall_s()  # what has just started is due at once
    start(engine, 100, Probes(readiness=Probe(exec=("true",), interval_ns=3600 * NS)))
    is_done, woken = threading.Event(), []

    def wake() -> None:
        woken.append(len(threads()))
        if len(woken) == 100:
            is_done.set()

    scheduler = ProbeScheduler(engine, wake)
    scheduler.look_after(observe(engine, clock).containers.values())
    assert is_done.wait(PATIENCE_S)
    assert max(woken) <= MAX_THREADS + 1
    assert all(one.readiness.passes for one in observe(engine, clock).health.values())
    scheduler.close()
    for one in threading.enumerate():
        if one.name in ("probes", "probe"):
            one.join(PATIENCE_S)
    assert threads() == []
