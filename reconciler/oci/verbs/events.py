"""`events`: figures and OOM kills of a container, one JSON object a line, as runc prints them."""

from __future__ import annotations

import os
import select
import sys
import time

from reconciler.engine.container import Container
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any, json
from reconciler.model.quantity import parse_duration
from reconciler.model.stats import Stats
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime, refuse

_UNLIMITED = 2**64 - 1
_AVERAGES = ("avg10", "avg60", "avg300")


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Print until the container ends, with --stats once. Raises: ContainerNotRunning, Usage."""
    container = runtime.load(arguments[0])
    status = runtime.status(container)
    if status not in ("created", "running", "paused"):
        why = f"it is {status}"
        raise refuse(container.id, ErrorCode.ContainerNotRunning, "watch the events of", why)
    if options["stats"]:
        _print(container, "stats", format_stats(container.stats()))
        return 0
    _follow(container, _interval_s(options["interval"]))
    return 0


def _follow(container: Container, interval_s: float) -> None:
    from reconciler.cgroup.oom import OomNotice

    init = container.record.init
    assert init is not None
    notice = OomNotice(container.record.cgroups)
    pidfd = os.pidfd_open(init.pid)
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    if notice.fd >= 0:
        poller.register(notice.fd, notice.mask)
    kills = container.stats().memory.oom_kills
    due = time.monotonic() + interval_s
    while True:
        ready = dict(poller.poll(max(0.0, due - time.monotonic()) * 1000))
        if pidfd in ready:
            return
        if notice.fd in ready:
            notice.drain()
            found = container.stats().memory.oom_kills
            if found > kills:
                kills = found
                _print(container, "oom", None)
        if time.monotonic() >= due:
            due += interval_s
            _print(container, "stats", format_stats(container.stats()))


def format_stats(stats: Stats) -> dict[str, Any]:
    """Return the figures by runc's names; times in ns, sizes in bytes."""
    pids = {"current": stats.pids.current, "limit": stats.pids.limit}
    return {
        "cpu": _cpu(stats),
        "memory": _memory(stats),
        "pids": _known(pids),
        "blkio": _blkio(stats),
        "hugetlb": {
            _page_size(one.page_size_bytes): _known(
                {"usage": one.usage_bytes, "max": one.peak_bytes, "failcnt": one.limit_hits}
            )
            for one in stats.hugetlb
        },
    }


def _cpu(stats: Stats) -> dict[str, Any]:
    cpu = stats.cpu
    usage = _known({"total": cpu.usage_ns, "kernel": cpu.system_ns, "user": cpu.user_ns})
    return {
        "usage": usage | ({"percpu": list(cpu.per_cpu_ns)} if cpu.per_cpu_ns else {}),
        "throttling": {
            "periods": cpu.periods,
            "throttledPeriods": cpu.throttled_periods,
            "throttledTime": cpu.throttled_ns,
        },
        "burst": {"burstsPeriods": cpu.bursts, "burstTime": cpu.burst_ns},
    } | _psi(stats, "cpu")


def _memory(stats: Stats) -> dict[str, Any]:
    """Return the memory's figures; swap is memory and swap together, as runc has it."""
    memory = stats.memory
    limit = _UNLIMITED if memory.limit_bytes is None else memory.limit_bytes
    both = None if memory.swap_bytes is None else memory.usage_bytes + memory.swap_bytes
    usage = {"limit": limit, "usage": memory.usage_bytes, "max": memory.peak_bytes}
    raw = {"anon": memory.anon_bytes, "file": memory.file_bytes, "swap": memory.swap_bytes}
    return {
        "cache": memory.file_bytes or 0,
        "usage": _known(usage) | {"failcnt": memory.limit_hits},
        "swap": _known({"usage": both}),
        "kernel": _known({"usage": memory.kernel_bytes}),
        "raw": _known(raw),
        "oomKills": memory.oom_kills,
    } | _psi(stats, "memory")


def _blkio(stats: Stats) -> dict[str, Any]:
    rows: dict[str, list[dict[str, Any]]] = {
        "ioServiceBytesRecursive": [],
        "ioServicedRecursive": [],
    }
    for one in stats.io.devices:
        major, _, minor = one.device.partition(":")
        place = {"major": int(major), "minor": int(minor)}
        for name, read, written in (
            ("ioServiceBytesRecursive", one.read_bytes, one.write_bytes),
            ("ioServicedRecursive", one.read_ops, one.write_ops),
        ):
            for op, value in (("Read", read), ("Write", written)):
                rows[name].append(place | {"op": op, "value": value})
    return rows | _psi(stats, "io")


def _psi(stats: Stats, resource: str) -> dict[str, Any]:
    found = stats.pressure.get(resource)
    if found is None:
        return {}
    pairs = (("some", found.some, found.some_ns), ("full", found.full, found.full_ns))
    return {
        "psi": {
            name: dict(zip(_AVERAGES, shares, strict=True)) | {"total": time_ns // 1000}
            for name, shares, time_ns in pairs
        }
    }


def _page_size(size_bytes: int) -> str:
    """Return 2MB for 2097152, as the files of hugetlb are called."""
    for unit, factor in (("GB", 2**30), ("MB", 2**20)):
        if size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return f"{size_bytes // 2**10}KB"


def _known(figures: dict[str, int | None]) -> dict[str, int]:
    return {name: value for name, value in figures.items() if value is not None}


def _print(container: Container, kind: str, data: dict[str, Any] | None) -> None:
    event = {"type": kind, "id": container.id} | ({} if data is None else {"data": data})
    sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _interval_s(text: str) -> float:
    try:
        interval_s = parse_duration(text) / 1e9
    except ValueError as error:
        raise ReconcilerError(ErrorCode.Usage, f"--interval: {error}") from error
    if interval_s <= 0:
        raise ReconcilerError(ErrorCode.Usage, "--interval must be more than 0")
    return interval_s
