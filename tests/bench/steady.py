"""(f) A pass with nothing to do, in a process that makes passes all the time, as the daemon does.

Beside it, over as many or fewer of theirs: `podman ps` over containers that run, which is what
one would poll; `supervisorctl update` with nothing changed and `supervisorctl status`. Theirs are
whole processes; ours is the pass alone: `idle` has the whole process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from reconciler.control.reconcile import Reconciler
from tests.bench.place import Place, make_place
from tests.bench.podman import has_podman, make_podman
from tests.bench.report import judge, median_ms, say, spread_ms
from tests.bench.supervisord import find_supervisor, make_supervisor

PASS_S = 0.5  # over 1,000 containers; over fewer as many times less
_MANY = 1000


def measure(*, short: bool) -> None:
    """Measure and print."""
    count, rounds = (200, 7) if short else (_MANY, 15)
    with ExitStack() as stack:
        place = stack.enter_context(make_place())
        _measure_ours(place, count, rounds)
        _measure_podman(stack, place, 10 if short else 100)
        _measure_supervisor(stack, place, 50 if short else 100)


def _measure_ours(place: Place, count: int, rounds: int) -> None:
    place.grow(count)
    place.run("apply", str(place.specs))
    reconciler = Reconciler(place.engine, [str(place.specs)])
    report = reconciler.run_pass()
    if report.plan.actions or len(report.world.containers) != count:
        raise RuntimeError(f"there is something to do: {report.plan.actions[:3]}")
    wall, cpu = [], []
    for _ in range(rounds):
        begin, begin_cpu = time.monotonic_ns(), time.process_time_ns()
        reconciler.run_pass()
        wall.append(time.monotonic_ns() - begin)
        cpu.append(time.process_time_ns() - begin_cpu)
    median = median_ms(wall)
    say(
        "steady",
        judge(f"a pass over {count}", median / 1e3, PASS_S * count / _MANY, " s"),
        f"{median / count:.3f} ms each ({spread_ms(wall)} ms), CPU {median_ms(cpu):.1f} ms",
    )
    place.clear()


def _measure_podman(stack: ExitStack, place: Place, count: int) -> None:
    if not has_podman():
        say("steady", "no podman: not compared")
        return
    podman = stack.enter_context(make_podman(place.base / "podman"))
    begin = time.monotonic()
    for index in range(count):
        podman.run(f"c{index}", place.rootfs, ["/bin/sleep", "infinity"])
    started = time.monotonic() - begin
    listing = _time(lambda: podman.call("ps"))
    say(
        "steady",
        f"podman ps over {count} {listing:.1f} ms",
        f"podman run of {count}, one after another, {started / count * 1e3:.1f} ms each",
    )


def _measure_supervisor(stack: ExitStack, place: Place, count: int) -> None:
    if find_supervisor() is None:
        say("steady", "no supervisord (pip install supervisor): not compared")
        return
    supervisor = stack.enter_context(make_supervisor(place.base / "supervisor"))
    for index in range(count):
        supervisor.write_program(f"c{index}", "/bin/sleep infinity")
    begin = time.monotonic()
    supervisor.control("update")
    started = time.monotonic() - begin
    update = _time(lambda: supervisor.control("update"))
    status = _time(lambda: supervisor.control("status"))
    say(
        "steady",
        f"supervisorctl update over {count} {update:.1f} ms, status {status:.1f} ms",
        f"update that starts {count} plain processes {started / count * 1e3:.1f} ms each",
    )


def _time(work: Callable[[], object]) -> float:
    """Return the median of some runs, in milliseconds."""
    samples = []
    for _ in range(5):
        begin = time.monotonic_ns()
        work()
        samples.append(time.monotonic_ns() - begin)
    return median_ms(samples)
