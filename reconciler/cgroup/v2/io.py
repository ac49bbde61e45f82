"""Block I/O throttles and weight of v2 (kernel: admin-guide/cgroup-v2.rst, "IO").

io.weight belongs to the iocost controller; where the kernel lacks it, io.bfq.weight does.
"""

from __future__ import annotations

import os

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import (
    IO_MAX,
    IO_WEIGHT,
    IoMax,
    Limits,
    Unsupported,
    io_max_rows,
    none_if,
    sorted_io_max,
)
from reconciler.cgroup.devices import trouble_with
from reconciler.model.frozen import replace
from reconciler.model.state import IoStats, Stats
from reconciler.model.world import Value

NAME = "io"
FIELDS = (IO_WEIGHT, IO_MAX)
_COLUMNS = ("rbps", "wbps", "riops", "wiops")
_WEIGHT, _BFQ_WEIGHT = "io.weight", "io.bfq.weight"


def has_bfq(base: str) -> bool:
    """Tell whether BFQ's weight is what cgroups below `base` have."""
    return not _has(base, _WEIGHT) and _has(base, _BFQ_WEIGHT)


def _has(base: str, name: str) -> bool:
    """Tell whether a file is in `base` or in a cgroup in it: the root cgroup has no weights."""
    if files.exists(f"{base}/{name}") or (
        name == _WEIGHT and files.exists(f"{base}/io.cost.qos")  # the root's sign of iocost
    ):
        return True
    with os.scandir(base) as entries:
        return any(files.exists(f"{entry.path}/{name}") for entry in entries if entry.is_dir())


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    return FIELDS if _has(base, _WEIGHT) or has_bfq(base) else (IO_MAX,)


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    found = []
    if wanted[IO_WEIGHT] is not None and IO_WEIGHT not in shown_fields(base):
        reason = "this kernel has neither io.weight nor io.bfq.weight"
        found.append(Unsupported(IO_WEIGHT, reason, "load the bfq I/O scheduler (modprobe bfq)"))
    troubles = filter(None, (trouble_with(row[0]) for row in io_max_rows(wanted)))
    return found + [Unsupported(IO_MAX, text, "name one that lsblk shows") for text in troubles]


def write_limits(path: str, wanted: Limits) -> None:
    """Write weight and throttles; a device that is no longer wanted gets `max` throughout.

    Raises: OSError with path and data.
    """
    if IO_WEIGHT in wanted:
        _write_weight(path, wanted[IO_WEIGHT])
    rows = io_max_rows(wanted)
    wanted_devices = {row[0] for row in rows}
    for row in _read_rows(path):
        if row[0] not in wanted_devices:
            _write_row(path, (row[0], None, None, None, None))
    for row in rows:
        _write_row(path, row)


def _write_weight(path: str, value: Value) -> None:
    weight = value if isinstance(value, int) else convert.DEFAULT_WEIGHT
    if files.exists(f"{path}/{_WEIGHT}"):
        files.write_text(f"{path}/{_WEIGHT}", f"default {weight}")
    else:
        files.write_text(f"{path}/{_BFQ_WEIGHT}", f"default {convert.bfq_weight_of(weight)}")


def _write_row(path: str, row: IoMax) -> None:
    pairs = zip(_COLUMNS, row[1:], strict=True)
    text = " ".join(f"{column}={convert.format_max(value)}" for column, value in pairs)
    files.write_text(f"{path}/io.max", f"{row[0]} {text}")


def read_limits(path: str) -> dict[str, Value]:
    """Return the limits in canonical form.

    Raises: OSError with the path.
    """
    limits: dict[str, Value] = {IO_MAX: _read_rows(path)}
    weight = _read_weight(path)
    if weight is not None:
        limits[IO_WEIGHT] = none_if(weight, convert.DEFAULT_WEIGHT)
    return limits


def _read_weight(path: str) -> int | None:
    """Return the default weight (of `default N` and lines for single devices)."""
    text = files.read_optional(f"{path}/{_WEIGHT}")
    if text is not None:
        return int(text.split()[1])
    text = files.read_optional(f"{path}/{_BFQ_WEIGHT}")
    return None if text is None else convert.weight_of_bfq(int(text.split()[1]))


def _read_rows(path: str) -> tuple[IoMax, ...]:
    throttles: dict[str, dict[str, int]] = {}
    for line in files.read_text(f"{path}/io.max").splitlines():
        device, *pairs = line.split()
        values = (pair.split("=") for pair in pairs)
        throttles[device] = {name: int(value) for name, value in values if value != "max"}
    return sorted_io_max(throttles)


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with the I/O figures of all devices filled in.

    Raises: OSError with the path.
    """
    sums: dict[str, int] = {}
    for word in files.read_text(f"{path}/io.stat").split():
        name, equals, value = word.partition("=")
        if equals and value.isdigit():
            sums[name] = sums.get(name, 0) + int(value)
    io = IoStats(
        read_bytes=sums.get("rbytes", 0),
        write_bytes=sums.get("wbytes", 0),
        read_ops=sums.get("rios", 0),
        write_ops=sums.get("wios", 0),
    )
    return replace(stats, io=io)
