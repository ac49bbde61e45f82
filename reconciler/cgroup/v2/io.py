"""Block I/O throttles and weight of v2 (kernel: admin-guide/cgroup-v2.rst, "IO").

io.weight belongs to the iocost controller; where the kernel lacks it, io.bfq.weight does.
"""

from __future__ import annotations

import os

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import (
    IO_MAX,
    IO_WEIGHT,
    IO_WEIGHTS,
    IoMax,
    Limits,
    Unsupported,
    changed_fields,
    io_max_rows,
    none_if,
    sorted_io_max,
    typed_rows,
)
from reconciler.cgroup.devices import trouble_with, trouble_with_bfq
from reconciler.lean import Collection, Iterable
from reconciler.model.frozen import replace
from reconciler.model.stats import IoDeviceStats, IoStats, Stats
from reconciler.model.value import Value

NAME = "io"
FIELDS = (IO_WEIGHT, IO_WEIGHTS, IO_MAX)
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
    has_weights = IO_WEIGHT in shown_fields(base)
    for field in (IO_WEIGHT, IO_WEIGHTS):
        if wanted[field] and not has_weights:
            reason = "this kernel has neither io.weight nor io.bfq.weight"
            found.append(Unsupported(field, reason, "load the bfq I/O scheduler (modprobe bfq)"))
    if has_weights:
        check, how = trouble_with, "name one that lsblk shows"
        if has_bfq(base):
            check, how = trouble_with_bfq, "write bfq to its queue/scheduler in /sys/block"
        troubles = filter(None, (check(row[0]) for row in typed_rows(wanted[IO_WEIGHTS])))
        found += [Unsupported(IO_WEIGHTS, text, how) for text in troubles]
    troubles = filter(None, (trouble_with(row[0]) for row in io_max_rows(wanted)))
    return found + [Unsupported(IO_MAX, text, "name one that lsblk shows") for text in troubles]


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write what is not shown already; a device that is no longer wanted gets `max` throughout.

    Raises: OSError with path and data.
    """
    changed = changed_fields(wanted, shown or {})
    if changed & {IO_WEIGHT, IO_WEIGHTS}:
        _write_weights(path, wanted, changed)
    if IO_MAX not in changed:
        return
    rows = io_max_rows(wanted)
    wanted_devices = {row[0] for row in rows}
    for row in _read_rows(path):
        if row[0] not in wanted_devices:
            _write_row(path, (row[0], None, None, None, None))
    for row in rows:
        _write_row(path, row)


def _write_weights(path: str, wanted: Limits, changed: Collection[str]) -> None:
    is_bfq = not files.exists(f"{path}/{_WEIGHT}")
    name = _BFQ_WEIGHT if is_bfq else _WEIGHT

    def write(key: str, value: Value) -> None:
        weight = value if isinstance(value, int) else convert.DEFAULT_WEIGHT
        text = str(convert.bfq_weight_of(weight) if is_bfq else weight)
        files.write_text(f"{path}/{name}", f"{key} {text}")

    if IO_WEIGHT in changed:
        write("default", wanted[IO_WEIGHT])
    if IO_WEIGHTS in changed:
        weights = dict(typed_rows(wanted[IO_WEIGHTS]))
        for device in (_read_weights(path) or {}).keys() - weights.keys() - {"default"}:
            files.write_text(f"{path}/{name}", f"{device} default")
        for device, weight in weights.items():
            write(device, weight)


def _write_row(path: str, row: IoMax) -> None:
    pairs = zip(_COLUMNS, row[1:], strict=True)
    text = " ".join(f"{column}={convert.format_max(value)}" for column, value in pairs)
    files.write_text(f"{path}/io.max", f"{row[0]} {text}")


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the limits in canonical form.

    Raises: OSError with the path.
    """
    limits: dict[str, Value] = {IO_MAX: _read_rows(path)}
    weights = _read_weights(path)
    if weights is not None:
        limits[IO_WEIGHT] = none_if(weights.pop("default"), convert.DEFAULT_WEIGHT)
        limits[IO_WEIGHTS] = tuple(sorted(weights.items()))
    return limits


def _read_weights(path: str) -> dict[str, int] | None:
    """Return the weights by device, that of all others as `default`."""
    text = files.read_optional(f"{path}/{_WEIGHT}")
    is_bfq = text is None
    if text is None:
        text = files.read_optional(f"{path}/{_BFQ_WEIGHT}")
    if text is None:
        return None
    rows = (line.split() for line in text.splitlines())
    weights = {row[0]: int(row[1]) for row in rows}
    if not is_bfq:
        return weights
    return {device: convert.weight_of_bfq(weight) for device, weight in weights.items()}


def _read_rows(path: str) -> tuple[IoMax, ...]:
    throttles: dict[str, dict[str, int]] = {}
    for line in files.read_text(f"{path}/io.max").splitlines():
        device, *pairs = line.split()
        values = (pair.split("=") for pair in pairs)
        throttles[device] = {name: int(value) for name, value in values if value != "max"}
    return sorted_io_max(throttles)


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with the I/O figures filled in, of each device and of all.

    Raises: OSError with the path.
    """
    devices = []
    for line in files.read_text(f"{path}/io.stat").splitlines():
        device, *words = line.split()
        figures = dict(word.split("=") for word in words if "=" in word)
        if "rbytes" in figures:
            devices.append(_device_stats(device, figures))
    return replace(stats, io=summed(devices))


def _device_stats(device: str, figures: dict[str, str]) -> IoDeviceStats:
    return IoDeviceStats(
        device=device,
        read_bytes=int(figures["rbytes"]),
        write_bytes=int(figures["wbytes"]),
        read_ops=int(figures["rios"]),
        write_ops=int(figures["wios"]),
    )


def summed(devices: Iterable[IoDeviceStats]) -> IoStats:
    """Return the figures of all devices together, and theirs."""
    rows = tuple(devices)
    return IoStats(
        read_bytes=sum(row.read_bytes for row in rows),
        write_bytes=sum(row.write_bytes for row in rows),
        read_ops=sum(row.read_ops for row in rows),
        write_ops=sum(row.write_ops for row in rows),
        devices=rows,
    )
