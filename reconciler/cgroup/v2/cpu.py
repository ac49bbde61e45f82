"""CPU quota and weight of v2 (kernel: admin-guide/cgroup-v2.rst, "CPU")."""

from __future__ import annotations

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import (
    CPU_BURST,
    CPU_IDLE,
    CPU_MAX,
    CPU_PERIOD,
    CPU_RT_PERIOD,
    CPU_RT_RUNTIME,
    CPU_WEIGHT,
    Limits,
    Unsupported,
    changed_fields,
    none_if,
)
from reconciler.lean import Collection
from reconciler.model.frozen import replace
from reconciler.model.stats import CpuStats, Stats
from reconciler.model.value import Value

NAME = "cpu"
FIELDS = (CPU_MAX, CPU_PERIOD, CPU_BURST, CPU_WEIGHT, CPU_IDLE, CPU_RT_RUNTIME, CPU_RT_PERIOD)
_SHOWN = (CPU_MAX, CPU_BURST, CPU_WEIGHT, CPU_IDLE)
_NO_REALTIME = "cgroup v2 has no real-time limits"
_QUOTA_FIELDS = frozenset((CPU_MAX, CPU_PERIOD, CPU_BURST))
_US = 1000  # nanoseconds


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    return _SHOWN


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    realtime = [
        Unsupported(field, _NO_REALTIME, "leave it out")
        for field in (CPU_RT_RUNTIME, CPU_RT_PERIOD)
        if wanted[field] is not None
    ]
    return burst_trouble(wanted) + realtime


def burst_trouble(wanted: Limits) -> list[Unsupported]:
    """Return what is wrong with a burst: the kernel takes none above the quota of one period."""
    milli, burst = wanted[CPU_MAX], wanted[CPU_BURST]
    if not isinstance(burst, int):
        return []
    if not isinstance(milli, int | float):
        return [Unsupported(CPU_BURST, "there is no quota to save from", f"set {CPU_MAX} too")]
    period = wanted[CPU_PERIOD] or convert.period_of(milli)
    assert isinstance(period, int)
    most_us = convert.quota_in(milli, period)
    if burst // _US <= most_us:
        return []
    reason = f"it is above the {most_us / 1000:g}ms that {CPU_MAX} gives in a period"
    return [Unsupported(CPU_BURST, reason, f"ask for at most {most_us / 1000:g}ms")]


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write what is not shown already; the weight while the group is not idle (else EINVAL).

    Raises: OSError with path and data.
    """
    changed = changed_fields(wanted, shown or {})
    if CPU_IDLE in changed and not wanted[CPU_IDLE]:
        files.write_text(f"{path}/cpu.idle", "0")
    if changed & _QUOTA_FIELDS:
        _write_quota(path, wanted)
    if CPU_WEIGHT in changed and not wanted.get(CPU_IDLE):
        weight = wanted[CPU_WEIGHT] or convert.DEFAULT_WEIGHT
        files.write_text(f"{path}/cpu.weight", str(weight))
    if CPU_IDLE in changed and wanted[CPU_IDLE]:
        files.write_text(f"{path}/cpu.idle", "1")


def _write_quota(path: str, wanted: Limits) -> None:
    """Write quota and period; burst is none meanwhile, as it may not exceed a quota."""
    milli, burst = wanted.get(CPU_MAX), wanted.get(CPU_BURST)
    has_burst = (files.read_optional(f"{path}/cpu.max.burst") or "0").strip() != "0"
    if has_burst and CPU_BURST in wanted:
        files.write_text(f"{path}/cpu.max.burst", "0")
    if isinstance(milli, int | float):
        given = wanted.get(CPU_PERIOD)
        period = given if isinstance(given, int) else convert.period_of(milli)
        files.write_text(f"{path}/cpu.max", f"{convert.quota_in(milli, period)} {period}")
    else:
        files.write_text(f"{path}/cpu.max", f"max {wanted.get(CPU_PERIOD) or convert.PERIOD_US}")
    if isinstance(burst, int):
        files.write_text(f"{path}/cpu.max.burst", str(burst // _US))


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the limits in canonical form; of those on demand the ones that are asked for.

    Raises: OSError with the path.
    """
    quota, period = files.read_text(f"{path}/cpu.max").split()
    milli = None if quota == "max" else convert.milli_of(int(quota), int(period))
    weight = int(files.read_text(f"{path}/cpu.weight"))
    burst = int(files.read_optional(f"{path}/cpu.max.burst") or 0)
    is_idle = (files.read_optional(f"{path}/cpu.idle") or "0").strip() == "1"
    limits: dict[str, Value] = {
        CPU_MAX: milli,
        CPU_BURST: burst * _US or None,
        CPU_WEIGHT: None if is_idle else none_if(weight, convert.DEFAULT_WEIGHT),
        CPU_IDLE: is_idle or None,
    }
    if CPU_PERIOD in asked:
        limits[CPU_PERIOD] = none_if(int(period), convert.period_of(milli))
    return limits


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
        bursts=figures.get("nr_bursts", 0),
        burst_ns=figures.get("burst_usec", 0) * _US,
    )
    return replace(stats, cpu=cpu)
