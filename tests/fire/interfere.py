"""The process that interferes: `python -m tests.fire.interfere RUN_DIR STATE_DIR SEED ROUNDS`.

Prints what it has done as JSON, attack by attack how often; whatever it has filled is free again
at its end. The order and the choices come from the seed; what they meet depends on the moment.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fire.attacks import ATTACKS, Target, attack, make_room

_PAUSE_S = 0.02  # between two attacks: a storm, and not a siege that lets nothing be done


def main(run_dir: Path, state_dir: Path, seed: int, rounds: int) -> None:
    """Attack so many times, whatever there is at the moment."""
    rng = random.Random(seed)
    done: Counter[str] = Counter()
    slowest = (0.0, "")
    for _ in range(rounds):
        names = sorted(name for name in os.listdir(run_dir / "containers") if name[0] != ".")
        name = rng.choice(names or ["none"])
        target = Target(run_dir=run_dir, state_dir=state_dir, name=name, rng=rng)
        (chosen,) = rng.choices(list(ATTACKS), list(ATTACKS.values()))
        begun = time.monotonic()
        done[chosen.__name__] += attack(chosen, target)
        slowest = max(slowest, (time.monotonic() - begun, f"{chosen.__name__} {name}"))
        time.sleep(_PAUSE_S)
    make_room(target)
    json.dump({"slowest": slowest, **done}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
