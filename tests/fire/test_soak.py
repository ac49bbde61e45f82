"""Hundreds of containers come, change, crash and go: nothing grows, and nothing slows down.

`tests/run tests/fire/test_soak.py` is the long form, `RECONCILER_TEST_SHORT=1` before it the short
one. Times are printed and not asserted: a machine has its bad moments.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.control.reconcile import Reconciler
from tests.e2e.instance import Instance, Json, shell
from tests.e2e.waiting import wait_until
from tests.fire.figures import Figures, take_figures

pytestmark = [pytest.mark.slow, pytest.mark.requires_root]

SEED = int(os.environ.get("FIRE_SEED", "5"))
PATIENCE_S = 120.0
# Python keeps what it has freed for later, and some tables grow by halves.
MAY_GROW_KIB = 6 * 1024
MIB = 1 << 20


class Churn:
    """As many containers as before after each round, and nearly all of them others."""

    def __init__(self, instance: Instance, live: int) -> None:
        self.instance = instance
        self.engine = Engine(run_dir=str(instance.run_dir), state_dir=str(instance.state_dir))
        self.live = live
        self._rng = random.Random(SEED)
        self._numbers = count()
        self._names: list[str] = []
        self.starts_s: list[float] = []

    def fill(self) -> None:
        """Have so many containers as there will be after each round."""
        for _ in range(self.live):
            self._create()
        self.await_calm()

    def round(self) -> None:
        """Delete, create, edit and crash a fifth each."""
        share = max(1, self.live // 5)
        for name in self._pick(share):
            self._names.remove(name)
            self.instance.remove(f"{name}.yaml")
        for _ in range(share):
            self._create()
        for name in self._pick(share):
            self.instance.write(f"{name}.yaml", self._invent())
        for name in self._pick(share):
            self._crash(name)
        self.await_calm()
        self._time_one()

    def _pick(self, number: int) -> list[str]:
        return self._rng.sample(self._names, number)

    def _create(self) -> str:
        name = f"c{next(self._numbers)}"
        self._names.append(name)
        self.instance.write(f"{name}.yaml", self._invent())
        return name

    def _invent(self) -> Json:
        memory, word = self._rng.randrange(32, 128), self._rng.randrange(10**6)
        resources = {"memory": {"max": f"{memory}Mi"}, "pids": {"max": 20}}
        backoff = {"backoff": {"initial": "0s"}}
        return shell(f"echo {word}; exec sleep inf", resources=resources, restart=backoff)

    def _crash(self, name: str) -> None:
        if name in self.engine.ids() and (init := self.engine.load(name).record.init) is not None:
            pidfd = os.pidfd_open(init.pid)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)

    def _time_one(self) -> None:
        """Time one more from its file to its record of a run, in place of another."""
        self._remove_one()
        begin = time.monotonic()
        name = self._create()
        run = self.instance.run_dir / "containers" / name / "run.json"
        wait_until(run.exists, f"{name} starts", PATIENCE_S)
        self.starts_s.append(time.monotonic() - begin)
        self.await_calm()

    def _remove_one(self) -> None:
        name = self._pick(1)[0]
        self._names.remove(name)
        self.instance.remove(f"{name}.yaml")
        self.await_calm()

    def await_calm(self) -> None:
        """Wait until the daemon has nothing more to do and all have written their line."""
        wait_until(self._is_calm, "everything is as desired", PATIENCE_S)

    def _is_calm(self) -> bool:
        logs = self.instance.state_dir / "logs"
        if sorted(self.engine.ids()) != sorted(self._names):
            return False
        if not all((logs / name / "log").exists() for name in self._names):
            return False
        report = Reconciler(self.engine, [str(self.instance.source)]).plan()
        return not report.plan.actions and not report.plan.waits and not report.plan.problems


@pytest.mark.timeout(3600)
def test_a_churn_of_hundreds_of_containers_leaves_nothing_growing(
    reconciler: Instance, is_short: bool
) -> None:
    live, rounds, warm_up = (60, 8, 3) if is_short else (200, 40, 28)
    with reconciler.watching() as watcher:
        churn = Churn(reconciler, live)
        churn.fill()
        taken: list[Figures] = []
        for _ in range(rounds):
            churn.round()
            taken.append(take_figures(reconciler, watcher.pid))
        warm, last = taken[warm_up - 1], taken[-1]
        # A pass that is under way holds a descriptor or two more; what is lost stays so.
        wait_until(
            lambda: take_figures(reconciler, watcher.pid).counts() == warm.counts(),
            f"as much is there as when warm: {warm}; last {last}",
        )
    tenth = max(1, rounds // 10)
    first_s, last_s = (
        statistics.median(samples) for samples in (churn.starts_s[:tenth], churn.starts_s[-tenth:])
    )
    print(
        f"\n{live} live, {rounds} rounds of {4 * (live // 5)} changes, seed {SEED}: "
        f"warm {warm}\nlast {last}\nfile to run: first tenth {first_s * 1e3:.0f} ms, "
        f"last {last_s * 1e3:.0f} ms, ratio {last_s / first_s:.2f}; "
        f"PSS each round {[one.pss_kib for one in taken]} KiB"
    )
    assert warm.zombies == 0
    assert last.pss_kib - warm.pss_kib < MAY_GROW_KIB


# --- logs

FLOOD = (
    "import os, time\n"
    "line = b'x' * 1023 + b'\\n'\n"
    "chunk, begin, sent = line * 1024, time.monotonic(), 0\n"
    "while True:\n"
    "    view = memoryview(chunk)\n"
    "    while view:\n"
    "        view = view[os.write(1, view):]\n"
    "    sent += len(chunk)\n"
    "    time.sleep(max(0, begin + sent / 100e6 - time.monotonic()))\n"
)
TICK = "while :; do date +%s.%N; sleep 0.05; done"
LOGS = {"maxSize": "2Mi", "maxFiles": 3}


def size_on_disk(directory: Path) -> int:
    """Return the bytes that the files of a directory take; one may be renamed meanwhile."""
    total = 0
    for path in directory.iterdir():
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


def log_delays_s(instance: Instance, name: str) -> list[float]:
    """Return how long after each line was written the monitor has stamped it."""
    delays = []
    for line in (instance.state_dir / "logs" / name / "log").read_text().splitlines():
        stamp, _, _, text = line.split(" ", 3)
        whole, _, fraction = stamp.removesuffix("Z").partition(".")
        at = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
        seconds = calendar_s(at) + float(f"0.{fraction}")
        delays.append(seconds - float(text))
    return delays


def calendar_s(at: time.struct_time) -> int:
    import calendar

    return calendar.timegm(at)


def time_starts(instance: Instance, number: int) -> list[float]:
    """Return how long each start takes until the command runs, one after another."""
    engine = Engine(run_dir=str(instance.run_dir), state_dir=str(instance.state_dir))
    config = engine.load("tick").config
    taken = []
    for index in range(number):
        container = engine.create(f"s{index}", config)
        begin = time.monotonic()
        container.start()
        taken.append(time.monotonic() - begin)
        container.destroy()
    return taken


@contextmanager
def sampled(look: Callable[[], int]) -> Iterator[list[int]]:
    """Give what `look` sees, again and again while the body runs."""
    import threading

    seen: list[int] = []
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.01):
            seen.append(look())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_a_flood_of_logs_delays_nobody_and_fills_no_disk(
    reconciler: Instance, is_short: bool
) -> None:
    starts = 15 if is_short else 100
    reconciler.write("tick.yaml", shell(TICK))
    reconciler.apply()
    reconciler.wait_for_log("tick", ".")
    quiet_starts = time_starts(reconciler, starts)
    quiet_delays = log_delays_s(reconciler, "tick")
    reconciler.write("flood.yaml", shell("", command=["/usr/bin/python3", "-c", FLOOD], logs=LOGS))
    reconciler.apply()
    logs = reconciler.state_dir / "logs" / "flood"
    wait_until((logs / "log.2").exists, "the flood has filled three files")
    pid = reconciler.pid("flood")
    before, begin, known = written_bytes(pid), time.monotonic(), len(quiet_delays)
    with sampled(lambda: size_on_disk(logs)) as sizes:
        loud_starts = time_starts(reconciler, starts)
        wanted = known + 20
        wait_until(lambda: len(log_delays_s(reconciler, "tick")) >= wanted, "ticks are logged")
    rate = (written_bytes(pid) - before) / (time.monotonic() - begin) / 1e6
    loud_delays = log_delays_s(reconciler, "tick")[known:]
    print(
        f"\na flood of {rate:.0f} MB/s; start of another {ms(loud_starts)} ms beside "
        f"{ms(quiet_starts)} when quiet, its lines are logged after {ms(loud_delays)} ms beside "
        f"{ms(quiet_delays)}; "
        f"ratios {ratio(loud_starts, quiet_starts)}, {ratio(loud_delays, quiet_delays)}; "
        f"the flood's files take {max(sizes) / MIB:.2f} MiB at most, of 3 of 2 MiB"
    )
    # A page for each file that is not full, and the one that is just being removed.
    assert 4 * MIB < max(sizes) <= 3 * 2 * MIB + 4 * 4096
    assert rate > 1


def written_bytes(pid: int) -> int:
    """Return what a process has written so far (proc(5), /proc/PID/io)."""
    words = Path(f"/proc/{pid}/io").read_text().split()
    return int(words[words.index("wchar:") + 1])


def ms(samples: list[float]) -> str:
    """Return the median in milliseconds."""
    return f"{statistics.median(samples) * 1e3:.1f}"


def ratio(loud: list[float], quiet: list[float]) -> str:
    """Return how many times the quiet median the loud one is."""
    return f"{statistics.median(loud) / statistics.median(quiet):.2f}"
