"""Task limit (kernel: admin-guide/cgroup-v2.rst, "PID")."""

from __future__ import annotations

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import PIDS_MAX, Limits, Unsupported
from reconciler.lean import Collection
from reconciler.model.frozen import replace
from reconciler.model.stats import PidsStats, Stats
from reconciler.model.value import Value

NAME = "pids"
FIELDS = (PIDS_MAX,)
_KERNEL_MAX = 4 * 1024 * 1024  # PID_MAX_LIMIT of 64-bit kernels; pids.max refuses more


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    return FIELDS


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    value = wanted[PIDS_MAX]
    if not isinstance(value, int) or value <= _KERNEL_MAX:
        return []
    return [Unsupported(PIDS_MAX, f"the kernel's most is {_KERNEL_MAX}", "ask for less, or none")]


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write the limit.

    Raises: OSError with path and data.
    """
    files.write_text(f"{path}/pids.max", convert.format_max(wanted[PIDS_MAX]))


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the limit in canonical form.

    Raises: OSError with the path.
    """
    return {PIDS_MAX: convert.parse_max(files.read_text(f"{path}/pids.max"))}


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with the task figures filled in.

    Raises: OSError with the path.
    """
    current = int(files.read_text(f"{path}/pids.current"))
    limit = convert.parse_max(files.read_text(f"{path}/pids.max"))
    return replace(stats, pids=PidsStats(current=current, limit=limit))
