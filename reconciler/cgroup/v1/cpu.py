"""CPU quota and weight of v1 (kernel: scheduler/sched-bwc.rst, scheduler/sched-design-CFS.rst)."""

from __future__ import annotations

import errno
from dataclasses import replace

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import CPU_MAX, CPU_WEIGHT, Limits, Unsupported, none_if
from reconciler.model.state import Stats
from reconciler.model.world import Value

NAME = "cpu"
FIELDS = (CPU_MAX, CPU_WEIGHT)
_QUOTA, _PERIOD, _SHARES = "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares"


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    return FIELDS if files.exists(f"{base}/{_QUOTA}") else (CPU_WEIGHT,)


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    if wanted[CPU_MAX] is None or files.exists(f"{base}/{_QUOTA}"):
        return []
    reason = "this kernel has no CPU quota"
    return [Unsupported(CPU_MAX, reason, "use a kernel with CONFIG_CFS_BANDWIDTH")]


def write_limits(path: str, wanted: Limits) -> None:
    """Write quota and weight.

    Raises: OSError with path and data; EINVAL when the quota is over the parent's.
    """
    weight, milli = wanted[CPU_WEIGHT], wanted.get(CPU_MAX)
    shares = (
        convert.shares_of(weight) if isinstance(weight, int | float) else convert.DEFAULT_SHARES
    )
    files.write_text(f"{path}/{_SHARES}", str(shares))
    if isinstance(milli, int | float):
        _write_quota(path, *convert.quota_of(milli))
    elif CPU_MAX in wanted:
        files.write_text(f"{path}/{_QUOTA}", "-1")


def _write_quota(path: str, quota_us: int, period_us: int) -> None:
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


def read_limits(path: str) -> dict[str, Value]:
    """Return the limits in canonical form.

    Raises: OSError with the path.
    """
    weight = convert.weight_of(int(files.read_text(f"{path}/{_SHARES}")))
    limits: dict[str, Value] = {CPU_WEIGHT: none_if(weight, convert.DEFAULT_WEIGHT)}
    quota_text = files.read_optional(f"{path}/{_QUOTA}")
    if quota_text is not None:
        limits[CPU_MAX] = _milli(path, int(quota_text))
    return limits


def _milli(path: str, quota_us: int) -> int | float | None:
    if quota_us < 0:
        return None
    return convert.milli_of(quota_us, int(files.read_text(f"{path}/{_PERIOD}")))


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
    )
    return replace(stats, cpu=cpu)
