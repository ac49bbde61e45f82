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
    cpu, memory, pids, io = stats.cpu, stats.memory, stats.pids, stats.io
    usage = {"usage": memory.usage_bytes, "max": memory.peak_bytes, "limit": memory.limit_bytes}
    swap = {"usage": memory.swap_bytes}
    return {
        "cpu": {
            "usage": {"total": cpu.usage_ns, "kernel": cpu.system_ns, "user": cpu.user_ns},
            "throttling": {
                "periods": cpu.periods,
                "throttledPeriods": cpu.throttled_periods,
                "throttledTime": cpu.throttled_ns,
            },
        },
        "memory": {
            "usage": _known(usage),
            "swap": _known(swap),
            "raw": _known({"anon": memory.anon_bytes, "file": memory.file_bytes}),
            "oomKills": memory.oom_kills,
        },
        "pids": _known({"current": pids.current, "limit": pids.limit}),
        "blkio": {
            "readBytes": io.read_bytes,
            "writeBytes": io.write_bytes,
            "readOps": io.read_ops,
            "writeOps": io.write_ops,
        },
    }


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
