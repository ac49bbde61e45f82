"""Priorities of a container's packets (kernel: admin-guide/cgroup-v1/net_prio.rst)."""

from __future__ import annotations

from reconciler.cgroup import files
from reconciler.cgroup.canonical import (
    NET_PRIORITIES,
    Limits,
    Unsupported,
    changed_fields,
    typed_rows,
)
from reconciler.lean import TYPE_CHECKING, Collection
from reconciler.model.value import Value

if TYPE_CHECKING:
    from reconciler.model.stats import Stats

NAME = "net_prio"
FIELDS = (NET_PRIORITIES,)
_MAP = "net_prio.ifpriomap"


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that all cgroups show: none without being asked."""
    return ()


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    rows = typed_rows(wanted[NET_PRIORITIES])
    known = _read(base) if rows else {}
    return [
        Unsupported(NET_PRIORITIES, f"there is no interface {row[0]}", "name one of ip link")
        for row in rows
        if row[0] not in known
    ]


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write what is not shown already; 0 for an interface that is no longer wanted.

    Raises: OSError with path and data.
    """
    if NET_PRIORITIES not in changed_fields(wanted, shown or {}):
        return
    priorities = dict(typed_rows(wanted[NET_PRIORITIES]))
    lifted = {name: 0 for name, value in _read(path).items() if value}
    for name, value in (lifted | priorities).items():
        files.write_text(f"{path}/{_MAP}", f"{name} {value}")


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the priorities, if they are asked for. Raises: OSError with the path."""
    if NET_PRIORITIES not in asked:
        return {}
    return {NET_PRIORITIES: tuple(sorted(pair for pair in _read(path).items() if pair[1]))}


def _read(path: str) -> dict[str, int]:
    """Return the priority by interface."""
    rows = (line.split() for line in files.read_text(f"{path}/{_MAP}").splitlines())
    return {name: int(value) for name, value in rows}


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` as they are: it counts nothing."""
    return stats
