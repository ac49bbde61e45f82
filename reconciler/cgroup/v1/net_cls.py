"""The class of a container's packets (kernel: admin-guide/cgroup-v1/net_cls.rst)."""

from __future__ import annotations

from reconciler.cgroup import files
from reconciler.cgroup.canonical import NET_CLASS_ID, Limits, Unsupported, changed_fields
from reconciler.lean import TYPE_CHECKING, Collection
from reconciler.model.value import Value

if TYPE_CHECKING:
    from reconciler.model.stats import Stats

NAME = "net_cls"
FIELDS = (NET_CLASS_ID,)
_CLASS_ID = "net_cls.classid"
_MOST = 0xFFFFFFFF


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that all cgroups show: none without being asked."""
    return ()


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    value = wanted[NET_CLASS_ID]
    if not isinstance(value, int) or 0 <= value <= _MOST:
        return []
    return [Unsupported(NET_CLASS_ID, f"it is no number up to {_MOST:#x}", "give one")]


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write what is not shown already. Raises: OSError with path and data."""
    if NET_CLASS_ID in changed_fields(wanted, shown or {}):
        files.write_text(f"{path}/{_CLASS_ID}", str(wanted[NET_CLASS_ID] or 0))


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the class, if it is asked for. Raises: OSError with the path."""
    if NET_CLASS_ID not in asked:
        return {}
    return {NET_CLASS_ID: int(files.read_text(f"{path}/{_CLASS_ID}")) or None}


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` as they are: it counts nothing."""
    return stats
