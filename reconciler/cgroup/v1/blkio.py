"""Block I/O throttles and weight of v1 (kernel: admin-guide/cgroup-v1/blkio-controller.rst).

The weight is BFQ's (blkio.bfq.weight): the only one since CFQ left in kernel 5.0.
"""

from __future__ import annotations

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import (
    IO_MAX,
    IO_WEIGHT,
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

NAME = "blkio"
FIELDS = (IO_WEIGHT, IO_MAX)
# In the order of the canonical row's columns.
_THROTTLES = {
    "rbps": "blkio.throttle.read_bps_device",
    "wbps": "blkio.throttle.write_bps_device",
    "riops": "blkio.throttle.read_iops_device",
    "wiops": "blkio.throttle.write_iops_device",
}
_WEIGHT = "blkio.bfq.weight"
# The root cgroup has no weight, but BFQ's counters.
_BFQ_SIGNS = (_WEIGHT, "blkio.bfq.io_service_bytes")


def has_bfq(base: str) -> bool:
    """Tell whether cgroups below `base` have BFQ's weight."""
    return any(files.exists(f"{base}/{name}") for name in _BFQ_SIGNS)


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    weight = (IO_WEIGHT,) if has_bfq(base) else ()
    return (*weight, IO_MAX) if files.exists(f"{base}/{_THROTTLES['rbps']}") else weight


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    found = []
    if wanted[IO_WEIGHT] is not None and not has_bfq(base):
        reason = "this kernel has no blkio.bfq.weight"
        found.append(Unsupported(IO_WEIGHT, reason, "load the bfq I/O scheduler (modprobe bfq)"))
    rows = io_max_rows(wanted)
    if rows and not files.exists(f"{base}/{_THROTTLES['rbps']}"):
        reason = "this kernel cannot throttle block devices"
        how = "use a kernel with CONFIG_BLK_DEV_THROTTLING"
        return [*found, Unsupported(IO_MAX, reason, how)]
    troubles = filter(None, (trouble_with(row[0]) for row in rows))
    return found + [Unsupported(IO_MAX, text, "name one that lsblk shows") for text in troubles]


def write_limits(path: str, wanted: Limits) -> None:
    """Write weight and throttles; a throttle that is no longer wanted is written as 0 (none).

    Raises: OSError with path and data.
    """
    if IO_WEIGHT in wanted:
        weight = wanted[IO_WEIGHT]
        value = convert.bfq_weight_of(weight if isinstance(weight, int) else convert.DEFAULT_WEIGHT)
        files.write_text(f"{path}/{_WEIGHT}", str(value))
    if IO_MAX not in wanted:
        return
    rows = io_max_rows(wanted)
    for column, name in enumerate(_THROTTLES.values(), start=1):
        limits = {row[0]: row[column] for row in rows}
        for device in [*(_read_throttle(path, name).keys() - limits.keys()), *limits]:
            files.write_text(f"{path}/{name}", f"{device} {limits.get(device) or 0}")


def read_limits(path: str) -> dict[str, Value]:
    """Return the limits in canonical form.

    Raises: OSError with the path.
    """
    limits: dict[str, Value] = {}
    weight_text = files.read_optional(f"{path}/{_WEIGHT}")
    if weight_text is not None:
        weight = convert.weight_of_bfq(int(weight_text))
        limits[IO_WEIGHT] = none_if(weight, convert.DEFAULT_WEIGHT)
    if (first := files.read_optional(f"{path}/{_THROTTLES['rbps']}")) is None:
        return limits
    throttles: dict[str, dict[str, int]] = {}
    for column, name in _THROTTLES.items():
        text = first if column == "rbps" else files.read_text(f"{path}/{name}")
        for device, value in _parse_throttle(text).items():
            throttles.setdefault(device, {})[column] = value
    return limits | {IO_MAX: sorted_io_max(throttles)}


def _read_throttle(path: str, name: str) -> dict[str, int]:
    return _parse_throttle(files.read_text(f"{path}/{name}"))


def _parse_throttle(text: str) -> dict[str, int]:
    """Return limits by device of `MAJ:MIN LIMIT` lines."""
    return {device: int(value) for device, value in (line.split() for line in text.splitlines())}


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with the I/O figures of all devices filled in.

    Raises: OSError with the path.
    """
    size = _sum_by_operation(path, "blkio.throttle.io_service_bytes_recursive")
    count = _sum_by_operation(path, "blkio.throttle.io_serviced_recursive")
    io = IoStats(
        read_bytes=size.get("Read", 0),
        write_bytes=size.get("Write", 0),
        read_ops=count.get("Read", 0),
        write_ops=count.get("Write", 0),
    )
    return replace(stats, io=io)


def _sum_by_operation(path: str, name: str) -> dict[str, int]:
    """Return the sums over all devices of `MAJ:MIN Operation NUMBER` lines."""
    sums: dict[str, int] = {}
    for line in (files.read_optional(f"{path}/{name}") or "").splitlines():
        words = line.split()
        if len(words) == 3:
            sums[words[1]] = sums.get(words[1], 0) + int(words[2])
    return sums
