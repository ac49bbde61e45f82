"""Every operation is cut short at its steps: killed, or told of an error by the kernel.

The short form takes an evenly spread sample of the points (`FIRE_SEED=N`: another one); the long
form, all of them, is `python -m tests.fire.every_step`.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.fire.every_step import ERRORS, KILL, sides, sweep
from tests.fire.steps import OPERATIONS, Operation

pytestmark = [
    pytest.mark.requires_root,
    pytest.mark.requires_command("strace"),
    pytest.mark.timeout(600),
]

_POINTS = 5  # of each operation in each process


@pytest.mark.parametrize(
    ("operation", "side"),
    [pytest.param(one, side, id=f"{one.name}-{side}") for one in OPERATIONS for side in sides(one)],
)
def test_one_pass_recovers_from_what_cuts_an_operation_short(
    operation: Operation, side: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the points are killed at, half are told of an error."""
    seed = int(os.environ.get("FIRE_SEED", "1"))
    rng = random.Random(f"{seed} {operation.name} {side}")
    faults = [KILL, f"error={rng.choice(ERRORS)}"]
    figures = sweep(operation, side, faults, _POINTS, rng)
    with capsys.disabled():
        print(f"\n{figures}; kill and {faults[1]}, seed {seed}")
    assert figures.known > 0, "the dry run showed no calls"
    assert figures.failures == [], f"seed {seed}"
