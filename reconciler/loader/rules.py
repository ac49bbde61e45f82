"""Rules between fields, which the schema cannot say, or not in words.

Called by `parse` with a document's data, each field of it valid by itself (fields that the
schema refused are left out). Each rule yields findings. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reconciler.errors.codes import ErrorCode
from reconciler.loader.findings import Finding, Path
from reconciler.loader.hook_rules import check_hooks
from reconciler.loader.mount_rules import check_mount
from reconciler.loader.scheduling_rules import check_scheduling
from reconciler.model.moment import parse_time
from reconciler.model.quantity import format_duration, parse_cpu, parse_duration, parse_size
from reconciler.model.spec import Backoff

_PAGE_BYTES = 4096

_MIN_LOG_BYTES = 4096
_PERIODS = (1_000_000, 1_000_000_000)
_CHECKS = ("exec", "http", "tcp", "unix")
_LEAST_NS = {"interval": 100_000_000, "timeout": 1_000_000}


def check_rules(data: dict[str, Any]) -> Iterator[Finding]:
    """Yield everything that is wrong between the fields of one document.

    A mount that is None was refused before.
    """
    for index, mount in enumerate(data.get("mounts", ())):
        if mount is not None:
            is_mapped = data.get("namespaces", {}).get("user", "host") != "host"
            yield from check_mount(mount, ("mounts", index), is_mapped=is_mapped)
    yield from _check_rootfs(data.get("rootfs", {}))
    yield from _check_capabilities(data.get("security", {}).get("capabilities", ()))
    resources = data.get("resources", {})
    yield from _check_memory(resources.get("memory", {}))
    yield from _check_cpu(resources.get("cpu", {}))
    yield from _check_not_zero(resources)
    yield from _check_rlimits(data.get("rlimits", {}))
    yield from _check_namespaces(data)
    yield from check_scheduling(data)
    yield from check_hooks(data)
    yield from _check_restart(data)
    yield from _check_deadline(data)
    yield from _check_suspend(data.get("suspend"))
    for kind, probe in data.get("probes", {}).items():
        yield from _check_probe(probe, ("probes", kind))
    yield from _check_logs(data.get("logs", {}))


def _finding(path: Path, message: str) -> Finding:
    return Finding(ErrorCode.SpecValue, path, message)


def _check_namespaces(data: dict[str, Any]) -> Iterator[Finding]:
    namespaces = data.get("namespaces", {})
    for name in ("hostname", "domainname"):
        if name in data and namespaces.get("uts", "private") != "private":
            message = "it needs a uts namespace of the container's own; see namespaces.uts"
            yield _finding((name,), message)
    is_private = namespaces.get("user") == "private"
    for name in ("uidMappings", "gidMappings"):
        if is_private and not data.get(name):
            message = "the field is missing: namespaces.user is private; give it a range of ids"
            yield _finding((name,), message)
        if data.get(name) and not is_private:
            yield _finding((name,), "it needs namespaces.user: private")
    if data.get("timeOffsets") and namespaces.get("time", "host") != "private":
        yield _finding(("timeOffsets",), "it needs namespaces: {time: private}")
    if "network" in namespaces and data.get("network") == "host":
        message = "'network: host' is another network; give one of the two"
        yield _finding(("namespaces", "network"), message)


def _check_capabilities(given: dict[str, list[str]] | Sequence[str]) -> Iterator[Finding]:
    path = ("security", "capabilities")
    if not isinstance(given, dict):
        yield from _check_unique(given, path)
        return
    for kind, names in given.items():
        yield from _check_unique(names, (*path, kind))
    for kind, holders in (("effective", ["permitted"]), ("ambient", ["permitted", "inheritable"])):
        for index, name in enumerate(given.get(kind, ())):
            lacking = [one for one in holders if name not in given.get(one, ())]
            if lacking:
                message = f"'{name}' must be in {' and in '.join(lacking)} too (capabilities(7))"
                yield _finding((*path, kind, index), message)


def _check_unique(names: Sequence[str], path: Path) -> Iterator[Finding]:
    # Not by the schema's uniqueItems: on a list of mixed types that takes quadratic time.
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield _finding((*path, index), f"'{name}' is given twice")
        seen.add(name)


def _check_rootfs(rootfs: dict[str, Any]) -> Iterator[Finding]:
    if rootfs.get("overlay") and "path" not in rootfs:
        message = "an overlay needs rootfs.path, the directory below it"
        yield _finding(("rootfs", "overlay"), message)


def _check_memory(memory: dict[str, Any]) -> Iterator[Finding]:
    highest = memory.get("max")
    if isinstance(highest, int) and 0 < highest < _PAGE_BYTES:
        message = f"{highest} is {highest} bytes, less than any process needs; write {highest}Mi"
        yield _finding(("resources", "memory", "max"), message)
    for lower in ("high", "low", "min"):
        if {"max", lower} <= memory.keys():
            highest, given = memory["max"], memory[lower]
            if parse_size(given) > parse_size(highest):
                message = f"{given} is more than resources.memory.max ({highest})"
                yield _finding(("resources", "memory", lower), message)


def _check_cpu(cpu: dict[str, Any]) -> Iterator[Finding]:
    if cpu.get("idle") and "weight" in cpu:
        message = "what is idle has no weight; leave out one of the two"
        yield _finding(("resources", "cpu", "weight"), message)
    if "period" in cpu and "max" not in cpu:
        message = "there is no quota to keep to; set resources.cpu.max too"
        yield _finding(("resources", "cpu", "period"), message)
    if "period" in cpu and not _PERIODS[0] <= parse_duration(cpu["period"]) <= _PERIODS[1]:
        yield _finding(("resources", "cpu", "period"), f"{cpu['period']} is not from 1ms to 1s")
    if "burst" in cpu and "max" not in cpu:
        message = "there is no quota to save from; set resources.cpu.max too"
        yield _finding(("resources", "cpu", "burst"), message)


def _check_not_zero(resources: dict[str, Any]) -> Iterator[Finding]:
    """Refuse limits of zero: with them nothing could run."""
    memory, cpu = resources.get("memory", {}), resources.get("cpu", {})
    amounts: dict[Path, int] = {
        ("memory", name): parse_size(memory[name]) for name in ("max", "high") if name in memory
    }
    if "max" in cpu:
        amounts["cpu", "max"] = parse_cpu(cpu["max"])
    for index, device in enumerate(resources.get("io", {}).get("max", ())):
        for name in ("readBytes", "writeBytes"):
            if name in device:
                amounts["io", "max", index, name] = parse_size(device[name])
    for index, limit in enumerate(resources.get("hugetlb", ())):
        amounts["hugetlb", index, "pageSize"] = parse_size(limit["pageSize"])
    for path, amount in amounts.items():
        if amount == 0:
            message = "must be more than 0; leave it out for no limit"
            yield _finding(("resources", *path), message)


def _check_rlimits(rlimits: dict[str, Any]) -> Iterator[Finding]:
    for name, limit in rlimits.items():
        if not isinstance(limit, dict):
            continue
        soft, hard = limit["soft"], limit["hard"]
        if hard != "unlimited" and (soft == "unlimited" or soft > hard):
            message = f"{soft} is more than the hard limit ({hard})"
            yield _finding(("rlimits", name, "soft"), message)


def _check_logs(logs: dict[str, Any] | str) -> Iterator[Finding]:
    size = logs.get("maxSize") if isinstance(logs, dict) else None
    if size is not None and parse_size(size) < _MIN_LOG_BYTES:
        yield _finding(("logs", "maxSize"), f"{size} is too small; the least is 4Ki")


def _check_probe(probe: dict[str, Any], path: Path) -> Iterator[Finding]:
    checks = [name for name in _CHECKS if name in probe]
    if len(checks) != 1:
        told = f"it has {' and '.join(checks)}" if checks else "it has none of them"
        yield _finding(path, f"a probe has exactly one of {', '.join(_CHECKS)}; {told}")
    for name, least_ns in _LEAST_NS.items():
        if name in probe and parse_duration(probe[name]) < least_ns:
            message = f"{probe[name]} is too short; the least is {format_duration(least_ns)}"
            yield _finding((*path, name), message)
    if path[-1] != "readiness" and probe.get("successThreshold", 1) != 1:
        message = f"a {path[-1]} probe passes with its first success; only 1 makes sense"
        yield _finding((*path, "successThreshold"), message)


def _check_suspend(suspend: dict[str, Any] | bool | None) -> Iterator[Finding]:
    if isinstance(suspend, dict) and "until" in suspend:
        try:
            parse_time(suspend["until"])
        except ValueError as error:
            yield _finding(("suspend", "until"), str(error))


def _check_deadline(data: dict[str, Any]) -> Iterator[Finding]:
    if "deadline" not in data:
        return
    if data.get("kind") != "Job":
        message = "a container is kept running and has no deadline; it is for kind: Job"
        yield _finding(("deadline",), message)
    elif parse_duration(data["deadline"]) == 0:
        yield _finding(("deadline",), "must be more than 0; leave it out for no deadline")


def _check_restart(data: dict[str, Any]) -> Iterator[Finding]:
    restart = data.get("restart", {})
    if data.get("kind") == "Job" and restart.get("policy") == "always":
        message = "a Job ends, so 'always' is not for it; use on-failure or never"
        yield _finding(("restart", "policy"), message)
    backoff = restart.get("backoff", {})
    initial = parse_duration(backoff["initial"]) if "initial" in backoff else Backoff().initial_ns
    longest = parse_duration(backoff["max"]) if "max" in backoff else Backoff().max_ns
    if initial > longest:
        field = "initial" if "initial" in backoff else "max"
        message = (
            f"the first wait ({format_duration(initial)}) is longer than"
            f" the longest ({format_duration(longest)})"
        )
        yield _finding(("restart", "backoff", field), message)
