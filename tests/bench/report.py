"""How figures are printed: medians, ratios with the target beside them, facts of the machine."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence


def median_ms(samples_ns: Sequence[int]) -> float:
    """Return the median of nanoseconds, in milliseconds."""
    return statistics.median(samples_ns) / 1e6


def spread_ms(samples_ns: Sequence[int]) -> str:
    """Return the middle half of the samples: `4.1-5.3`."""
    low, _, high = statistics.quantiles(samples_ns, n=4)
    return f"{low / 1e6:.1f}-{high / 1e6:.1f}"


def judge(what: str, value: float, target: float, unit: str = "") -> str:
    """Return `what 1.65 (target <= 2) ok`; units stand behind value and target."""
    word = "ok" if value <= target else "MISSED"
    return f"{what} {value:.3g}{unit} (target <= {target:.3g}{unit}) {word}"


def judge_least(what: str, value: float, target: float) -> str:
    """Return `what 1.8 (target >= 1.6) ok`, for what is to be large."""
    word = "ok" if value >= target else "MISSED"
    return f"{what} {value:.3g} (target >= {target:.3g}) {word}"


def say(name: str, *parts: str) -> None:
    """Print one line of results."""
    print(f"{name}: {'; '.join(parts)}", flush=True)


def print_machine() -> None:
    """Print what the figures depend on."""
    system = os.uname()
    load = os.getloadavg()[0]
    say(
        "machine",
        f"{system.sysname} {system.release} {system.machine}",
        f"{len(os.sched_getaffinity(0))} CPUs, load {load:.2f}",
        f"Python {platform.python_version()} ({sys.executable})",
        runc_version(),
    )


def runc_version() -> str:
    """Return `runc 1.1.5`, or that there is none."""
    if shutil.which("runc") is None:
        return "no runc: ratios to it are left out"
    done = subprocess.run(["runc", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].replace("version ", "")
