"""`python -m tests.fire.every_step [OPERATION ...]`: every operation cut short at every step.

The long form of `test_every_step.py`: `--share N` takes every Nth point, `--faults kill,ENOSPC`
some faults, `--side monitor` one process. Prints points tried and recovered.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.e2e.instance import Result
from tests.fire.steps import MONITOR, OPERATIONS, RECONCILER, Bench, Operation
from tests.fire.tracing import Point

KILL = "signal=KILL"
ERRORS = ("ENOSPC", "EMFILE", "ENOMEM", "EPERM", "EBUSY", "EINTR", "ENOENT")
_EXITS = range(6)  # those of the command line


@dataclass(slots=True, kw_only=True)
class Figures:
    """What was tried, and what did not recover."""

    name: str
    known: int = 0
    tried: int = 0
    missed: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        recovered = self.tried - len(self.failures)
        points = f"{self.known} points known, {self.tried} tried, {recovered} recovered"
        return f"{self.name}: {points}, {self.missed} not reached"


def sides(operation: Operation) -> tuple[str, ...]:
    """Return the processes that an operation is cut short in (an adoption: as one)."""
    if operation.is_adoption or operation.name == "update":  # the monitor has no part in it
        return (RECONCILER,)
    return (RECONCILER, MONITOR)


def sweep(
    operation: Operation, side: str, faults: Sequence[str], count: int, rng: random.Random
) -> Figures:
    """Try so many points of one operation in one process, the faults in turn."""
    figures = Figures(name=f"{operation.name} in {side}")
    bench = Bench(operation, side)
    try:
        known = bench.dry_run()
        chosen = [(p, f) for f in faults for p in known if _can_be(p, f)]
        figures.known = len(chosen)
        chosen = _pick(chosen, count, rng)
        for point, fault in chosen:
            problems = _try(bench, point, fault, figures)
            if problems:
                words = "; ".join(problems)
                figures.failures.append(f"{operation.name}, {side}, {fault} at {point}: {words}")
                print(figures.failures[-1], flush=True)
                bench.close()
                bench = Bench(operation, side)
                bench.dry_run()
    finally:
        bench.close()
    return figures


def _can_be(point: Point, fault: str) -> bool:
    """Leave out a death where nothing changes, and what wait4(2) never says of a child."""
    if fault == KILL:
        return point.is_change
    return point.call not in ("wait4", "waitid") or fault == "error=EINTR"


def _pick(
    chosen: list[tuple[Point, str]], count: int, rng: random.Random
) -> list[tuple[Point, str]]:
    """Return so many of all, evenly spread from a random begin."""
    if count >= len(chosen):
        return chosen
    begin = rng.random()
    return [chosen[int((begin + at) * len(chosen) / count)] for at in range(count)]


def _try(bench: Bench, point: Point, fault: str, figures: Figures) -> list[str]:
    has_come = False
    try:
        has_come, result = bench.try_point(point, fault)
        problems = _judge(result, bench) if has_come and fault != KILL else []
        problems += bench.check_recovery()
    except (AssertionError, KeyError, ValueError, OSError) as error:
        has_come, problems = True, [f"{type(error).__name__}: {error}"]
    figures.tried += has_come
    figures.missed += not has_come
    return problems


def _judge(result: Result, bench: Bench) -> list[str]:
    """Return what is wrong with how an operation has met an error."""
    problems = []
    if "Traceback" in result.text or "internal error" in result.text or result.code not in _EXITS:
        problems.append(f"exit {result.code}: {result.text[-1500:]}")
    elif result.code != 0 and not result.codes:
        problems.append(f"no code: {result.text[-600:]}")
    if litter := bench.litter():
        problems.append(f"left at once: {litter}")
    return problems


def main() -> int:
    """Run the chosen sweeps and print their figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.fire.every_step", description=__doc__)
    parser.add_argument("operations", nargs="*", default=[one.name for one in OPERATIONS])
    parser.add_argument("--faults", default=",".join(("kill", *ERRORS)))
    parser.add_argument("--side", choices=(RECONCILER, MONITOR))
    parser.add_argument("--count", type=int, default=sys.maxsize, help="so many points of each")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 16))
    args = parser.parse_args()
    print(f"seed {args.seed}")
    rng = random.Random(args.seed)
    faults = [KILL if one == "kill" else f"error={one}" for one in args.faults.split(",")]
    failed = 0
    for operation in OPERATIONS:
        for side in sides(operation):
            if operation.name in args.operations and args.side in (None, side):
                figures = sweep(operation, side, faults, args.count, rng)
                print(figures, flush=True)
                failed += len(figures.failures)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
