"""CPUs and memory nodes of v2; empty is the parent's (kernel: admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

from reconciler.cgroup import files
from reconciler.cgroup.canonical import CPU_CPUS, CPU_MEMS, Limits, Unsupported, changed_fields
from reconciler.cgroup.cpulist import out_of_range
from reconciler.lean import TYPE_CHECKING, Collection
from reconciler.model.value import Value

if TYPE_CHECKING:
    from reconciler.model.stats import Stats

NAME = "cpuset"
FIELDS = (CPU_CPUS, CPU_MEMS)
_FILES = {CPU_CPUS: "cpuset.cpus", CPU_MEMS: "cpuset.mems"}


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    return FIELDS


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`.

    v2 takes any list and silently uses the part that is there.
    """
    effective = {field: f"{base}/{name}.effective" for field, name in _FILES.items()}
    return out_of_range(wanted, effective)


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write CPUs and nodes; None writes an empty line, which is "as the parent".

    Raises: OSError with path and data.
    """
    changed = changed_fields(wanted, shown or {})
    for field in changed & _FILES.keys():
        name = _FILES[field]
        files.write_text(f"{path}/{name}", f"{wanted[field] or ''}\n")


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the limits in canonical form.

    Raises: OSError with the path.
    """
    return {
        field: files.read_text(f"{path}/{name}").strip() or None for field, name in _FILES.items()
    }


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` as they are: a cpuset counts nothing."""
    return stats
