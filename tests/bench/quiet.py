"""(h) What an idle daemon costs: CPU time of `watch` and the monitor with 100 containers.

The long form waits for two intervals of 30 s; the short one adds up what a quiet window and a
pass (asked for by SIGHUP) cost. Beside it supervisord with as many plain processes. podman has
no daemon; each container has a conmon process, which is idle too.
"""

from __future__ import annotations

import os
import signal
import statistics
import time

from reconciler.daemon.watch import Settings
from tests.bench.daemon import await_quiet, cpu_ns, monitor_pid, run_watch
from tests.bench.place import Place, make_place
from tests.bench.report import judge, say
from tests.bench.supervisord import find_supervisor, make_supervisor

SHARE_PERCENT = 0.2

_COUNT = 100
_WINDOW_S = 3.0
_PASSES = 4


def measure(*, short: bool) -> None:
    """Measure and print."""
    with make_place() as place:
        place.grow(_COUNT)
        with run_watch(place) as daemon_pid:
            await_quiet(place, daemon_pid, _COUNT)
            pids = [daemon_pid, monitor_pid(place)]
            (_measure_parts if short else _measure_whole)(place, pids)
        place.clear()
        if find_supervisor() is None:
            say("quiet", "no supervisord (pip install supervisor): not compared")
        else:
            _measure_supervisor(place, _WINDOW_S if short else 30.0)


def _measure_whole(place: Place, pids: list[int]) -> None:
    window_s = 2 * Settings().interval_s
    percent = _percent_over(pids, window_s)
    what = f"watch and monitor with {_COUNT} over {window_s:.0f} s"
    say("quiet", judge(what, percent, SHARE_PERCENT, " % of a core"))


def _measure_parts(place: Place, pids: list[int]) -> None:
    waiting = _percent_over(pids, _WINDOW_S)
    passes = [_cost_of_pass(place, pids) for _ in range(_PASSES)]
    pass_ns = statistics.median(passes)
    interval_s = Settings().interval_s
    percent = waiting + pass_ns / 1e9 / interval_s * 100
    say(
        "quiet",
        judge(f"watch and monitor with {_COUNT}", percent, SHARE_PERCENT, " % of a core"),
        f"waiting {waiting:.3f} %, a pass {pass_ns / 1e6:.1f} ms of CPU each {interval_s:.0f} s",
    )


def _percent_over(pids: list[int], window_s: float) -> float:
    before = cpu_ns(pids)
    time.sleep(window_s)
    return (cpu_ns(pids) - before) / 1e9 / window_s * 100


def _cost_of_pass(place: Place, pids: list[int]) -> int:
    before = cpu_ns(pids)
    os.kill(pids[0], signal.SIGHUP)
    time.sleep(0.1)
    await_quiet(place, pids[0], _COUNT)
    return cpu_ns(pids) - before


def _measure_supervisor(place: Place, window_s: float) -> None:
    with make_supervisor(place.base / "supervisor") as supervisor:
        for index in range(_COUNT):
            supervisor.write_program(f"c{index}", "/bin/sleep infinity")
        supervisor.control("update")
        time.sleep(2)
        percent = _percent_over([supervisor.pid], window_s)
    say("quiet", f"supervisord with {_COUNT} plain processes {percent:.3f} % of a core")
