"""Block I/O throttles and weight of v1 (kernel: admin-guide/cgroup-v1/blkio-controller.rst).

The weight is BFQ's (blkio.bfq.weight): the only one since CFQ left in kernel 5.0.
"""

from __future__ import annotations

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import (
    IO_MAX,
    IO_WEIGHT,
    IO_WEIGHTS,
    Limits,
    Unsupported,
    changed_fields,
    io_max_rows,
    none_if,
    sorted_io_max,
    typed_rows,
)
from reconciler.cgroup.devices import trouble_with, trouble_with_bfq
from reconciler.cgroup.v2.io import summed
from reconciler.lean import Collection
from reconciler.model.frozen import replace
from reconciler.model.stats import IoDeviceStats, Stats
from reconciler.model.value import Value

NAME = "blkio"
FIELDS = (IO_WEIGHT, IO_WEIGHTS, IO_MAX)
# In the order of the canonical row's columns.
_THROTTLES = {
    "rbps": "blkio.throttle.read_bps_device",
    "wbps": "blkio.throttle.write_bps_device",
    "riops": "blkio.throttle.read_iops_device",
    "wiops": "blkio.throttle.write_iops_device",
}
_WEIGHT, _WEIGHTS = "blkio.bfq.weight", "blkio.bfq.weight_device"
# The root cgroup has no weight, but BFQ's counters.
_BFQ_SIGNS = (_WEIGHT, "blkio.bfq.io_service_bytes")


def has_bfq(base: str) -> bool:
    """Tell whether cgroups below `base` have BFQ's weight."""
    return any(files.exists(f"{base}/{name}") for name in _BFQ_SIGNS)


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    weight = (IO_WEIGHT, IO_WEIGHTS) if has_bfq(base) else ()
    return (*weight, IO_MAX) if files.exists(f"{base}/{_THROTTLES['rbps']}") else weight


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    found = []
    weights = typed_rows(wanted[IO_WEIGHTS])
    for field in (IO_WEIGHT, IO_WEIGHTS):
        if wanted[field] and not has_bfq(base):
            reason = "this kernel has no blkio.bfq.weight"
            found.append(Unsupported(field, reason, "load the bfq I/O scheduler (modprobe bfq)"))
            weights = ()
    troubles = filter(None, (trouble_with_bfq(row[0]) for row in weights))
    how = "write bfq to its queue/scheduler in /sys/block"
    found += [Unsupported(IO_WEIGHTS, text, how) for text in troubles]
    rows = io_max_rows(wanted)
    if rows and not files.exists(f"{base}/{_THROTTLES['rbps']}"):
        reason = "this kernel cannot throttle block devices"
        how = "use a kernel with CONFIG_BLK_DEV_THROTTLING"
        return [*found, Unsupported(IO_MAX, reason, how)]
    troubles = filter(None, (trouble_with(row[0]) for row in rows))
    return found + [Unsupported(IO_MAX, text, "name one that lsblk shows") for text in troubles]


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write what is not shown already; a throttle that is no longer wanted as 0 (none).

    Raises: OSError with path and data.
    """
    changed = changed_fields(wanted, shown or {})
    if IO_WEIGHT in changed:
        files.write_text(f"{path}/{_WEIGHT}", str(_bfq_weight(wanted[IO_WEIGHT])))
    if IO_WEIGHTS in changed:
        weights = dict(typed_rows(wanted[IO_WEIGHTS]))
        for device in _read_weights(path).keys() - weights:
            files.write_text(f"{path}/{_WEIGHTS}", f"{device} default")
        for device, weight in weights.items():
            files.write_text(f"{path}/{_WEIGHTS}", f"{device} {_bfq_weight(weight)}")
    if IO_MAX in changed:
        _write_throttles(path, wanted)


def _bfq_weight(weight: Value) -> int:
    return convert.bfq_weight_of(weight if isinstance(weight, int) else convert.DEFAULT_WEIGHT)


def _write_throttles(path: str, wanted: Limits) -> None:
    rows = io_max_rows(wanted)
    for column, name in enumerate(_THROTTLES.values(), start=1):
        limits = {row[0]: row[column] for row in rows}
        for device in [*(_read_throttle(path, name).keys() - limits.keys()), *limits]:
            files.write_text(f"{path}/{name}", f"{device} {limits.get(device) or 0}")


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the limits in canonical form.

    Raises: OSError with the path.
    """
    limits: dict[str, Value] = {}
    weight_text = files.read_optional(f"{path}/{_WEIGHT}")
    if weight_text is not None:
        weight = convert.weight_of_bfq(int(weight_text))
        limits[IO_WEIGHT] = none_if(weight, convert.DEFAULT_WEIGHT)
        limits[IO_WEIGHTS] = tuple(sorted(_read_weights(path).items()))
    # Devices without a throttle are left out of the files.
    text = files.read_optional(f"{path}/{_THROTTLES['rbps']}")
    if text is None:
        return limits
    throttles: dict[str, dict[str, int]] = {}
    for column, name in _THROTTLES.items():
        text = text if column == "rbps" else files.read_text(f"{path}/{name}")
        for device, value in _parse_throttle(text).items():
            throttles.setdefault(device, {})[column] = value
    return limits | {IO_MAX: sorted_io_max(throttles)}


def _read_weights(path: str) -> dict[str, int]:
    rows = (line.split() for line in (files.read_optional(f"{path}/{_WEIGHTS}") or "").splitlines())
    return {row[0]: convert.weight_of_bfq(int(row[1])) for row in rows if ":" in row[0]}


def _read_throttle(path: str, name: str) -> dict[str, int]:
    return _parse_throttle(files.read_text(f"{path}/{name}"))


def _parse_throttle(text: str) -> dict[str, int]:
    """Return limits by device of `MAJ:MIN LIMIT` lines."""
    return {device: int(value) for device, value in (line.split() for line in text.splitlines())}


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with the I/O figures filled in, of each device and of all.

    Raises: OSError with the path.
    """
    size = _by_device(path, "blkio.throttle.io_service_bytes_recursive")
    count = _by_device(path, "blkio.throttle.io_serviced_recursive")
    devices = tuple(
        IoDeviceStats(
            device=device,
            read_bytes=size.get(device, {}).get("Read", 0),
            write_bytes=size.get(device, {}).get("Write", 0),
            read_ops=count.get(device, {}).get("Read", 0),
            write_ops=count.get(device, {}).get("Write", 0),
        )
        for device in dict.fromkeys((*size, *count))
    )
    return replace(stats, io=summed(devices))


def _by_device(path: str, name: str) -> dict[str, dict[str, int]]:
    """Return the figures by device and operation, of `MAJ:MIN Operation NUMBER` lines."""
    found: dict[str, dict[str, int]] = {}
    for line in (files.read_optional(f"{path}/{name}") or "").splitlines():
        words = line.split()
        if len(words) == 3:
            found.setdefault(words[0], {})[words[1]] = int(words[2])
    return found
