"""CPU time of v1 (kernel: admin-guide/cgroup-v1/cpuacct.rst). It has figures and no limits."""

from __future__ import annotations

from reconciler.cgroup import files
from reconciler.cgroup.canonical import Limits, Unsupported
from reconciler.lean import TYPE_CHECKING, Collection
from reconciler.model.frozen import replace
from reconciler.model.value import Value

if TYPE_CHECKING:
    from reconciler.model.stats import Stats

NAME = "cpuacct"
FIELDS = ()


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show: none."""
    return ()


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`: none."""
    return []


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write nothing: there are no limits."""


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return no limits."""
    return {}


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with the CPU time filled in.

    Raises: OSError with the path.
    """
    cpu = replace(
        stats.cpu,
        usage_ns=int(files.read_text(f"{path}/cpuacct.usage")),
        user_ns=int(files.read_text(f"{path}/cpuacct.usage_user")),
        system_ns=int(files.read_text(f"{path}/cpuacct.usage_sys")),
        per_cpu_ns=tuple(map(int, files.read_text(f"{path}/cpuacct.usage_percpu").split())),
    )
    return replace(stats, cpu=cpu)
