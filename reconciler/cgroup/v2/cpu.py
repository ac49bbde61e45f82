"""CPU quota and weight of v2 (kernel: admin-guide/cgroup-v2.rst, "CPU")."""

from __future__ import annotations

from dataclasses import replace

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import CPU_MAX, CPU_WEIGHT, Limits, Unsupported, none_if
from reconciler.model.state import CpuStats, Stats
from reconciler.model.world import Value

NAME = "cpu"
FIELDS = (CPU_MAX, CPU_WEIGHT)
_US = 1000  # nanoseconds


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    return FIELDS


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`: none."""
    return []


def write_limits(path: str, wanted: Limits) -> None:
    """Write quota and weight.

    Raises: OSError with path and data.
    """
    milli = wanted[CPU_MAX]
    if isinstance(milli, int | float):
        quota_us, period_us = convert.quota_of(milli)
        files.write_text(f"{path}/cpu.max", f"{quota_us} {period_us}")
    else:
        files.write_text(f"{path}/cpu.max", f"max {convert.PERIOD_US}")
    files.write_text(f"{path}/cpu.weight", str(wanted[CPU_WEIGHT] or convert.DEFAULT_WEIGHT))


def read_limits(path: str) -> dict[str, Value]:
    """Return the limits in canonical form.

    Raises: OSError with the path.
    """
    quota, period = files.read_text(f"{path}/cpu.max").split()
    weight = int(files.read_text(f"{path}/cpu.weight"))
    return {
        CPU_MAX: None if quota == "max" else convert.milli_of(int(quota), int(period)),
        CPU_WEIGHT: none_if(weight, convert.DEFAULT_WEIGHT),
    }


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with CPU time and throttling filled in.

    Raises: OSError with the path.
    """
    figures = files.read_flat(f"{path}/cpu.stat")
    cpu = CpuStats(
        usage_ns=figures["usage_usec"] * _US,
        user_ns=figures["user_usec"] * _US,
        system_ns=figures["system_usec"] * _US,
        periods=figures.get("nr_periods", 0),
        throttled_periods=figures.get("nr_throttled", 0),
        throttled_ns=figures.get("throttled_usec", 0) * _US,
    )
    return replace(stats, cpu=cpu)
