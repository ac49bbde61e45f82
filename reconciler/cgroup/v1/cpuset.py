"""CPUs and memory nodes of v1 (kernel: admin-guide/cgroup-v1/cpusets.rst).

A new v1 cpuset is empty and takes no task: `initialise` copies its parent's. There is no
"unset": a cpuset equal to its parent's is what None means.
"""

from __future__ import annotations

import os

from reconciler.cgroup import files
from reconciler.cgroup.canonical import (
    CPU_CPUS,
    CPU_MEMS,
    Limits,
    Unsupported,
    changed_fields,
    none_if,
)
from reconciler.cgroup.cpulist import out_of_range
from reconciler.lean import TYPE_CHECKING, Collection
from reconciler.model.value import Value

if TYPE_CHECKING:
    from reconciler.model.stats import Stats

NAME = "cpuset"
FIELDS = (CPU_CPUS, CPU_MEMS)
_FILES = {CPU_CPUS: "cpuset.cpus", CPU_MEMS: "cpuset.mems"}


def initialise(path: str) -> None:
    """Copy CPUs and nodes from the parent into a new cpuset; one that has some keeps them.

    Empty ancestors (just made, or left so by a crash) get theirs first; the root has some.

    Raises: OSError with path and data.
    """
    for name in _FILES.values():
        if files.read_text(f"{path}/{name}").strip():
            continue
        if not _inherited(path, name):
            initialise(os.path.dirname(path))
        files.write_text(f"{path}/{name}", _inherited(path, name))


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    return FIELDS


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    return out_of_range(wanted, {field: f"{base}/{name}" for field, name in _FILES.items()})


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write CPUs and nodes; None writes the parent's.

    Raises: OSError with path and data.
    """
    changed = changed_fields(wanted, shown or {})
    for field in changed & _FILES.keys():
        name = _FILES[field]
        files.write_text(f"{path}/{name}", str(wanted[field] or _inherited(path, name)))


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the limits in canonical form.

    Raises: OSError with the path.
    """
    return {
        field: none_if(files.read_text(f"{path}/{name}").strip(), _inherited(path, name))
        for field, name in _FILES.items()
    }


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` as they are: a cpuset counts nothing."""
    return stats


def _inherited(path: str, name: str) -> str:
    return files.read_text(f"{os.path.dirname(path)}/{name}").strip()
