"""Limits of RDMA devices: the same files in v1 and v2 (kernel: admin-guide/cgroup-v1/rdma.rst)."""

from __future__ import annotations

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import RDMA, Limits, Unsupported, changed_fields, typed_rows
from reconciler.lean import Collection
from reconciler.model.frozen import replace
from reconciler.model.stats import RdmaStats, Stats
from reconciler.model.value import Value

NAME = "rdma"
FIELDS = (RDMA,)
_INFINIBAND = "/sys/class/infiniband"


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that all cgroups show: none without being asked."""
    return ()


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    return [
        Unsupported(RDMA, f"there is no RDMA device {row[0]}", "name one that rdma(8) shows")
        for row in typed_rows(wanted[RDMA])
        if not files.exists(f"{_INFINIBAND}/{row[0]}")
    ]


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write what is not shown already; a device that is no longer wanted gets `max` throughout.

    Raises: OSError with path and data.
    """
    if RDMA not in changed_fields(wanted, shown or {}):
        return
    rows = typed_rows(wanted[RDMA])
    lifted = {row[0] for row in _read(path)} - {row[0] for row in rows}
    for device, handles, objects in [*((device, None, None) for device in lifted), *rows]:
        pairs = f"hca_handle={convert.format_max(handles)} hca_object={convert.format_max(objects)}"
        files.write_text(f"{path}/rdma.max", f"{device} {pairs}")


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the limits in canonical form, if they are asked for. Raises: OSError with the path."""
    return {RDMA: _read(path)} if RDMA in asked else {}


def _read(path: str) -> tuple[tuple[str, int | None, int | None], ...]:
    rows = []
    for device, figures in _parse(files.read_text(f"{path}/rdma.max")).items():
        handles, objects = (convert.parse_max(figures[key]) for key in ("hca_handle", "hca_object"))
        if handles is not None or objects is not None:
            rows.append((device, handles, objects))
    return tuple(sorted(rows, key=lambda row: row[0]))


def _parse(text: str) -> dict[str, dict[str, str]]:
    """Return figures by device of `DEVICE KEY=VALUE ...` lines."""
    lines = (line.split() for line in text.splitlines())
    return {words[0]: dict(word.split("=") for word in words[1:]) for words in lines}


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with what is in use filled in. Raises: OSError with the path."""
    devices = _parse(files.read_optional(f"{path}/rdma.current") or "")
    rows = (
        RdmaStats(
            device=device,
            hca_handles=int(figures["hca_handle"]),
            hca_objects=int(figures["hca_object"]),
        )
        for device, figures in devices.items()
    )
    return replace(stats, rdma=tuple(rows))
