"""Another process interferes in every way while 50 containers run and their specs change.

Afterwards one pass makes it right: exactly what is desired runs, with its limits; the plan is
empty, nothing is left over, and nobody else was touched. The daemon is started again when it is
killed, as a supervisor does; the one-shot is run one after another, as cron does.

`tests/run tests/fire/test_interference.py` is the long form, `RECONCILER_TEST_SHORT=1` before it
the short one. FIRE_SEED is another storm.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.control.reconcile import Reconciler
from reconciler.errors import ErrorCode
from tests.e2e import kernel
from tests.e2e.instance import COMMAND, ROOT, Instance
from tests.e2e.waiting import wait_until
from tests.fire.clock import ShiftedClock
from tests.fire.fleet import Fleet

pytestmark = [pytest.mark.slow, pytest.mark.requires_root, pytest.mark.requires_command("gcc")]

COUNT = 50
SEED = int(os.environ.get("FIRE_SEED", "5"))
_HOUR_S = 3600
_EDIT_EACH_S = 0.2
SHIFTS_S = (0, _HOUR_S, -_HOUR_S, 400 * 24 * _HOUR_S, -400 * 24 * _HOUR_S)


@contextmanager
def interference(reconciler: Instance, rounds: int) -> Iterator[subprocess.Popen[str]]:
    """Run the process that interferes; at the end it has done all its rounds."""
    command = [sys.executable, "-m", "tests.fire.interfere"]
    command += [str(reconciler.run_dir), str(reconciler.state_dir), str(SEED), str(rounds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
            assert process.stdout is not None
            done = process.stdout.read()
            assert process.wait() == 0
            print(f"\nseed {SEED}, {rounds} rounds: {done}")
        finally:
            process.kill()


def start(reconciler: Instance, clock: ShiftedClock, *words: str) -> subprocess.Popen[bytes]:
    """Start a command of the instance's under the clock."""
    with (reconciler.base / "said").open("ab") as said:
        return subprocess.Popen(
            [*clock.enter, *COMMAND, words[0], str(reconciler.source), *words[1:]],
            env=reconciler.environ,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )


def weather(
    reconciler: Instance, fleet: Fleet, clock: ShiftedClock, rounds: int, *words: str
) -> None:
    """Have specs change and the clock jump until the interference ends; run `words` meanwhile."""
    command = start(reconciler, clock, *words)
    try:
        with interference(reconciler, rounds) as process:
            while process.poll() is None:
                if command.poll() is not None:  # it was killed, or is a one-shot that has ended
                    command = start(reconciler, clock, *words)
                fleet.edit()
                if fleet.rng.random() < 0.1:
                    clock.set(fleet.rng.choice(SHIFTS_S))
                let_pass(process)
    finally:
        command.terminate()
        command.wait(60)


def let_pass(process: subprocess.Popen[str]) -> None:
    """Let some attacks come before the next edit."""
    try:
        process.wait(_EDIT_EACH_S)
    except subprocess.TimeoutExpired:
        return


def converge_in_one_pass(reconciler: Instance) -> None:
    """Run one pass; nothing may be left to be done or complained of after it."""
    engine = Engine(run_dir=str(reconciler.run_dir), state_dir=str(reconciler.state_dir))
    report = Reconciler(engine, [str(reconciler.source)]).run_pass(lock_timeout_s=30)
    for problem in report.plan.problems:
        # Whose it was nobody can tell, and no file names it: it is told of, and a user removes it.
        assert problem.code == ErrorCode.RecordCorrupt, problem.describe()
        assert problem.spec_name not in report.desired.specs
        reconciler.run("destroy", str(problem.spec_name))
    print(f"{len(report.outcomes)} actions")
    assert [one.error.detail() for one in report.outcomes if one.error] == []
    assert [f"{one.describe()}: {one.reason}" for one in report.plan.actions] == []
    assert report.plan.waits == ()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("words", [("watch",), ("apply",)], ids=["watch", "apply"])
def test_after_a_storm_one_pass_makes_everything_right(
    reconciler: Instance,
    bystanders: list[subprocess.Popen[bytes]],
    words: tuple[str, ...],
    is_short: bool,
) -> None:
    clock = ShiftedClock(reconciler.base / "clock")
    fleet = Fleet(instance=reconciler, rng=random.Random(SEED))
    fleet.fill(COUNT)
    reconciler.apply()
    fleet.check()
    weather(reconciler, fleet, clock, 150 if is_short else 3000, *words)
    wait_until(lambda: not _is_busy(reconciler), "what was killed or told to end has ended")
    converge_in_one_pass(reconciler)
    assert reconciler.is_converged()
    fleet.check()


def _is_busy(reconciler: Instance) -> bool:
    return bool(kernel.processes_with("reconciler", str(reconciler.source)))


def test_the_clock_is_shifted_for_what_runs_under_it_alone(tmp_path: Path) -> None:
    clock = ShiftedClock(tmp_path / "clock")
    clock.set(SHIFTS_S[3])
    ask = ["/bin/date", "+%s"]
    shifted = int(subprocess.check_output([*clock.enter, *ask]))
    assert abs(shifted - int(subprocess.check_output(ask)) - SHIFTS_S[3]) < _HOUR_S
