"""Files of `resources.unified` that have a field of their own become that field, and win over it.

Called by `canonical`, so that no file is written by two controllers. An OCI config may give any
file of cgroup v2 there; a spec file only those without a field. Source: config-linux.md, Unified.
"""

from __future__ import annotations

from reconciler.cgroup import convert
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any, Callable, pattern
from reconciler.model.config import (
    HugetlbLimit,
    IoDeviceLimits,
    IoDeviceWeight,
    RdmaLimit,
    Resources,
)
from reconciler.model.frozen import replace

_HUGETLB = pattern(r"hugetlb\.([0-9]+)([KMG])B\.max")
_Parsed = dict[str, Any]


def fold_unified(resources: Resources) -> Resources:
    """Return the resources with what their files say in the fields. Raises: ConfigInvalid."""
    left = []
    for name, text in resources.unified:
        try:
            group, changes = _parse(name, text.strip())
        except (ValueError, KeyError, IndexError) as error:
            message = f"cannot understand {text!r:.60} for the file {name} of cgroup v2"
            raise ReconcilerError(
                ErrorCode.ConfigInvalid, message, field=f"resources.unified.{name}"
            ) from error
        if not changes:
            left.append((name, text))
        elif "hugetlb" in changes:
            resources = replace(resources, hugetlb=resources.hugetlb + changes["hugetlb"])
        elif group:
            changed: Any = replace(getattr(resources, group), **changes)
            resources = replace(resources, **{group: changed})
        else:
            resources = replace(resources, **changes)
    return replace(resources, unified=tuple(left))


def _parse(name: str, text: str) -> tuple[str, _Parsed]:
    """Return the part of Resources and its fields that a file means; no fields: none."""
    match = _HUGETLB.fullmatch(name)
    if match:
        page = int(match[1]) * 1024 ** " KMG".index(match[2])
        most = _size(text)
        rows = () if most is None else (HugetlbLimit(page_size_bytes=page, max_bytes=most),)
        return "", {"hugetlb": rows}
    if name not in _PARSERS:
        return "", {}
    group, parse = _PARSERS[name]
    return group, parse(text)


def _size(text: str) -> int | None:
    return convert.parse_max(convert.plain_content("memory.max", text))


def _sized(field: str) -> Callable[[str], _Parsed]:
    return lambda text: {field: _size(text)}


def _number(field: str) -> Callable[[str], _Parsed]:
    return lambda text: {field: convert.parse_max(text)}


def _cpu_max(text: str) -> _Parsed:
    quota, *period = text.split()
    return {
        "max_milli": None,
        "quota_us": convert.parse_max(quota),
        "period_us": int(period[0]) if period else None,
    }


def _pairs(text: str) -> dict[str, dict[str, int]]:
    """Return numbers by device of `DEVICE KEY=VALUE ...` lines, those of `max` left out."""
    rows = (line.split() for line in text.splitlines() if line.strip())
    return {
        row[0]: {
            key: int(value)
            for key, _, value in (word.partition("=") for word in row[1:])
            if value != "max"
        }
        for row in rows
    }


def _io_max(text: str) -> _Parsed:
    names = {"rbps": "read_bytes", "wbps": "write_bytes", "riops": "read_ops", "wiops": "write_ops"}
    return {
        "max": tuple(
            IoDeviceLimits(device=device, **{names[key]: value for key, value in limits.items()})
            for device, limits in _pairs(text).items()
        )
    }


def _io_weight(weight: str, weights: str) -> Callable[[str], _Parsed]:
    def parse(text: str) -> _Parsed:
        rows = [line.split() for line in text.splitlines()]
        default = [int(row[-1]) for row in rows if len(row) == 1 or row[0] == "default"]
        devices = [row for row in rows if len(row) == 2 and row[0] != "default"]
        return {
            weight: default[0] if default else None,
            weights: tuple(IoDeviceWeight(device=row[0], weight=int(row[1])) for row in devices),
        }

    return parse


def _rdma(text: str) -> _Parsed:
    rows = (
        RdmaLimit(
            device=device, hca_handles=one.get("hca_handle"), hca_objects=one.get("hca_object")
        )
        for device, one in _pairs(text).items()
    )
    return {"rdma": tuple(rows)}


_PARSERS: dict[str, tuple[str, Callable[[str], _Parsed]]] = {
    "memory.max": ("memory", _sized("max_bytes")),
    "memory.high": ("memory", _sized("high_bytes")),
    "memory.low": ("memory", _sized("low_bytes")),
    "memory.min": ("memory", _sized("min_bytes")),
    "memory.swap.max": ("memory", _sized("swap_bytes")),
    "memory.oom.group": ("memory", lambda text: {"oom_group": text == "1"}),
    "cpu.max": ("cpu", _cpu_max),
    "cpu.max.burst": ("cpu", lambda text: {"burst_ns": int(text) * 1000}),
    "cpu.weight": ("cpu", lambda text: {"weight": int(text), "shares": None}),
    "cpu.idle": ("cpu", lambda text: {"idle": text == "1"}),
    "cpuset.cpus": ("cpu", lambda text: {"cpus": text or None}),
    "cpuset.mems": ("cpu", lambda text: {"mems": text or None}),
    "pids.max": ("pids", _number("max")),
    "io.max": ("io", _io_max),
    "io.weight": ("io", _io_weight("weight", "weights")),
    "io.bfq.weight": ("io", _io_weight("blkio_weight", "blkio_weights")),
    "rdma.max": ("", _rdma),
}
