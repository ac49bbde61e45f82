"""CPU quota, weight and real-time share of v1.

Source: kernel scheduler/sched-bwc.rst, sched-design-CFS.rst, sched-rt-group.rst.
"""

from __future__ import annotations

import errno
import math
import os

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
from reconciler.cgroup.v2.cpu import burst_trouble
from reconciler.lean import Collection
from reconciler.model.frozen import replace
from reconciler.model.stats import Stats
from reconciler.model.value import Value

NAME = "cpu"
FIELDS = (CPU_MAX, CPU_PERIOD, CPU_BURST, CPU_WEIGHT, CPU_IDLE, CPU_RT_RUNTIME, CPU_RT_PERIOD)
_QUOTA, _PERIOD, _BURST = "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us"
_SHARES, _IDLE = "cpu.shares", "cpu.idle"
_RT_RUNTIME, _RT_PERIOD = "cpu.rt_runtime_us", "cpu.rt_period_us"
_INSTANCE = "reconciler"  # what the names of instances' cgroups begin with (engine/dirs)
_QUOTA_FIELDS = frozenset((CPU_MAX, CPU_PERIOD, CPU_BURST))
_US = 1000  # nanoseconds
# What the kernel must have for a field, and the kernel that has it.
_NEEDS = {
    CPU_MAX: (_QUOTA, "CPU quota", "use a kernel with CONFIG_CFS_BANDWIDTH"),
    CPU_PERIOD: (_QUOTA, "CPU quota", "use a kernel with CONFIG_CFS_BANDWIDTH"),
    CPU_BURST: (_BURST, "CPU burst", "use Linux 5.14 or later"),
    CPU_IDLE: (_IDLE, "cpu.idle", "use Linux 5.15 or later"),
    CPU_RT_RUNTIME: (_RT_RUNTIME, "real-time groups", "use one with CONFIG_RT_GROUP_SCHED"),
    CPU_RT_PERIOD: (_RT_RUNTIME, "real-time groups", "use one with CONFIG_RT_GROUP_SCHED"),
}


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    known = (CPU_MAX, CPU_BURST, CPU_IDLE)
    return (CPU_WEIGHT, *(field for field in known if files.exists(f"{base}/{_NEEDS[field][0]}")))


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    found = burst_trouble(wanted)
    for field, (name, what, how) in _NEEDS.items():
        if wanted[field] is not None and not files.exists(f"{base}/{name}"):
            found.append(Unsupported(field, f"this kernel has no {what}", how))
    return found or _realtime_trouble(base, wanted)


def _realtime_trouble(base: str, wanted: Limits) -> list[Unsupported]:
    """Return what the kernel would refuse with EINVAL: more real time than the group above has."""
    runtime, period = wanted[CPU_RT_RUNTIME], wanted[CPU_RT_PERIOD]
    if not isinstance(runtime, int):
        return []
    if not isinstance(period, int):
        period = convert.REALTIME_PERIOD_US
    if runtime > period:
        reason = f"{runtime} us are more than their period, {period} us"
        return [Unsupported(CPU_RT_RUNTIME, reason, "ask for less, or for a longer period")]
    path = f"{base}/{_RT_RUNTIME}"
    most, most_period = int(files.read_text(path)), int(files.read_text(f"{base}/{_RT_PERIOD}"))
    if most < 0 or runtime * most_period <= most * period:
        return []
    reason = f"the cgroup above has {most} us in {most_period} us"
    return [Unsupported(CPU_RT_RUNTIME, reason, f"ask for less, or write more into {path}")]


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write what is not shown already; the weight while the group is not idle (else EINVAL).

    Raises: OSError with path and data; EINVAL when a quota is over the parent's.
    """
    changed = changed_fields(wanted, shown or {})
    if CPU_IDLE in changed and not wanted[CPU_IDLE]:
        files.write_text(f"{path}/{_IDLE}", "0")
    if CPU_WEIGHT in changed and not wanted.get(CPU_IDLE):
        files.write_text(f"{path}/{_SHARES}", str(_shares_of(wanted[CPU_WEIGHT])))
    if changed & _QUOTA_FIELDS:
        _write_quota(path, wanted)
    if CPU_IDLE in changed and wanted[CPU_IDLE]:
        files.write_text(f"{path}/{_IDLE}", "1")
    if changed & {CPU_RT_RUNTIME, CPU_RT_PERIOD}:
        _write_realtime(path, wanted)


def _shares_of(weight: Value) -> int:
    if isinstance(weight, int | float):
        return convert.shares_of(weight)
    return convert.DEFAULT_SHARES


def _write_quota(path: str, wanted: Limits) -> None:
    """Write quota and period; burst is none meanwhile, as it may not exceed a quota."""
    milli, period_us = wanted.get(CPU_MAX), wanted.get(CPU_PERIOD)
    if CPU_BURST in wanted and files.read_text(f"{path}/{_BURST}").strip() != "0":
        files.write_text(f"{path}/{_BURST}", "0")
    if isinstance(milli, int | float):
        period = period_us if isinstance(period_us, int) else convert.period_of(milli)
        _write_quota_and_period(path, convert.quota_in(milli, period), period)
    elif CPU_MAX in wanted:
        files.write_text(f"{path}/{_QUOTA}", "-1")
        if CPU_PERIOD in wanted:
            files.write_text(f"{path}/{_PERIOD}", str(period_us or convert.PERIOD_US))
    burst = wanted.get(CPU_BURST)
    if isinstance(burst, int):
        files.write_text(f"{path}/{_BURST}", str(burst // _US))


def _write_quota_and_period(path: str, quota_us: int, period_us: int) -> None:
    """Write period, then quota; the other way round when the old quota forbids the new period."""
    try:
        files.write_text(f"{path}/{_PERIOD}", str(period_us))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        files.write_text(f"{path}/{_QUOTA}", str(quota_us))
        files.write_text(f"{path}/{_PERIOD}", str(period_us))
    else:
        files.write_text(f"{path}/{_QUOTA}", str(quota_us))


def _write_realtime(path: str, wanted: Limits) -> None:
    """Write runtime and period, the longer period first, so that no write asks for too much."""
    runtime = str(wanted.get(CPU_RT_RUNTIME) or 0)
    period = wanted.get(CPU_RT_PERIOD) or convert.REALTIME_PERIOD_US
    files.write_text(f"{path}/{_RT_RUNTIME}", "0")
    if files.read_text(f"{path}/{_RT_PERIOD}").strip() != str(period):
        files.write_text(f"{path}/{_RT_PERIOD}", str(period))
    if runtime != "0":
        _make_room(path, int(runtime) / int(str(period)))
        files.write_text(f"{path}/{_RT_RUNTIME}", runtime)


def _make_room(path: str, wanted: float) -> None:
    """Give the instance's own cgroup as much real time as its containers have together.

    It begins with none, and the kernel refuses what is more than it has. `wanted` is a share of
    the time. Cgroups of others' making are left as they are.
    """
    parent = os.path.dirname(path)
    if not os.path.basename(parent).startswith(_INSTANCE):
        return
    with os.scandir(parent) as entries:
        others = [one.path for one in entries if one.is_dir() and one.path != path]
    needed = wanted + sum(map(_realtime_share, others))
    if needed > _realtime_share(parent):
        period = int(files.read_text(f"{parent}/{_RT_PERIOD}"))
        files.write_text(f"{parent}/{_RT_RUNTIME}", str(math.ceil(needed * period)))


def _realtime_share(path: str) -> float:
    runtime = int(files.read_text(f"{path}/{_RT_RUNTIME}"))
    return 1.0 if runtime < 0 else runtime / int(files.read_text(f"{path}/{_RT_PERIOD}"))


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the limits in canonical form; of those on demand the ones that are asked for.

    Raises: OSError with the path.
    """
    limits: dict[str, Value] = {}
    idle_text = files.read_optional(f"{path}/{_IDLE}")
    if idle_text is not None:
        limits[CPU_IDLE] = idle_text.strip() == "1" or None
    weight = convert.weight_of(int(files.read_text(f"{path}/{_SHARES}")))
    is_default = limits.get(CPU_IDLE) or weight == convert.DEFAULT_WEIGHT
    limits[CPU_WEIGHT] = None if is_default else weight
    quota_text = files.read_optional(f"{path}/{_QUOTA}")
    if quota_text is not None:
        limits |= _read_quota(path, int(quota_text), asked)
    if CPU_RT_RUNTIME in asked or CPU_RT_PERIOD in asked:
        period = int(files.read_text(f"{path}/{_RT_PERIOD}"))
        limits[CPU_RT_RUNTIME] = int(files.read_text(f"{path}/{_RT_RUNTIME}")) or None
        limits[CPU_RT_PERIOD] = none_if(period, convert.REALTIME_PERIOD_US)
    return limits


def _read_quota(path: str, quota_us: int, asked: Collection[str]) -> dict[str, Value]:
    limits: dict[str, Value] = {CPU_MAX: None}
    if quota_us >= 0 or CPU_PERIOD in asked:
        period_us = int(files.read_text(f"{path}/{_PERIOD}"))
        milli = None if quota_us < 0 else convert.milli_of(quota_us, period_us)
        limits[CPU_MAX] = milli
        if CPU_PERIOD in asked:
            limits[CPU_PERIOD] = none_if(period_us, convert.period_of(milli))
    burst_text = files.read_optional(f"{path}/{_BURST}")
    if burst_text is not None:
        limits[CPU_BURST] = int(burst_text) * _US or None
    return limits


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with the throttling figures filled in (`cpuacct` has the usage).

    Raises: OSError with the path.
    """
    figures = files.read_flat(f"{path}/cpu.stat")
    cpu = replace(
        stats.cpu,
        periods=figures.get("nr_periods", 0),
        throttled_periods=figures.get("nr_throttled", 0),
        throttled_ns=figures.get("throttled_time", 0),
        bursts=figures.get("nr_bursts", 0),
        burst_ns=figures.get("burst_time", 0),
    )
    return replace(stats, cpu=cpu)
