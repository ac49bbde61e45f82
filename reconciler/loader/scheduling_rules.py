"""Rules between the fields of scheduling: which of them a policy has, and needs.

Called by `rules` with a document's data. Pure functions. Sources: sched(7), sched_setattr(2),
set_mempolicy(2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.errors.codes import ErrorCode
from reconciler.loader.findings import Finding, Path
from reconciler.model.quantity import parse_duration

_OF_POLICY = {
    "OTHER": ("nice",),
    "BATCH": ("nice",),
    "IDLE": (),
    "FIFO": ("priority",),
    "RR": ("priority",),
    "DEADLINE": ("runtime", "deadline", "period"),
}
_NEEDED = {
    "FIFO": {"priority": "1 (last) to 99 (first)"},
    "RR": {"priority": "1 (last) to 99 (first)"},
    "DEADLINE": {
        "runtime": "the CPU time of each period, as 5ms",
        "deadline": "by when it gets that, as 20ms",
    },
}
_LEAST_NS = 1024  # sched_setattr(2): below it the kernel counts no time
_NO_NODES = ("DEFAULT", "LOCAL")


def check_scheduling(data: dict[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with `scheduler`, `memoryPolicy` and the real time of the cgroup."""
    scheduler = data.get("scheduler", {})
    if "policy" in scheduler:  # else it was refused before
        yield from _check_policy(scheduler)
    if scheduler.get("policy") == "DEADLINE":
        yield from _check_times(scheduler)
    yield from _check_memory_policy(data.get("memoryPolicy", {}))
    cpu = data.get("resources", {}).get("cpu", {})
    if "realtimePeriod" in cpu and "realtimeRuntime" not in cpu:
        path = ("resources", "cpu", "realtimePeriod")
        yield _finding(path, "a period of nothing; set resources.cpu.realtimeRuntime too")


def _check_policy(scheduler: dict[str, Any]) -> Iterator[Finding]:
    policy = scheduler["policy"]
    allowed = _OF_POLICY[policy]
    for name in ("nice", "priority", "runtime", "deadline", "period"):
        if name in scheduler and name not in allowed:
            has = f"it has {', '.join(allowed)}" if allowed else "it has none of its own"
            value = "nice value" if name == "nice" else name
            yield _finding(("scheduler", name), f"the policy {policy} has no {value}; {has}")
    for name, what in _NEEDED.get(policy, {}).items():
        if name not in scheduler:
            message = f"the field '{name}' is missing: the policy {policy} needs it, {what}"
            yield _finding(("scheduler", name), message)


def _check_times(scheduler: dict[str, Any]) -> Iterator[Finding]:
    names = [name for name in ("runtime", "deadline", "period") if name in scheduler]
    times = [parse_duration(scheduler[name]) for name in names]
    for shorter, longer, one, other in zip(names, names[1:], times, times[1:], strict=False):
        if one > other:
            message = f"{scheduler[shorter]} is more than the {longer} ({scheduler[longer]})"
            yield _finding(("scheduler", shorter), message)
    if names and names[0] == "runtime" and times[0] < _LEAST_NS:
        message = f"{scheduler['runtime']} is too short; the least is {_LEAST_NS}ns"
        yield _finding(("scheduler", "runtime"), message)


def _check_memory_policy(policy: dict[str, Any]) -> Iterator[Finding]:
    mode = policy.get("mode")
    if mode in _NO_NODES and "nodes" in policy:
        yield _finding(("memoryPolicy", "nodes"), f"the mode {mode} has no nodes; leave them out")
    elif mode not in (None, "PREFERRED", *_NO_NODES) and "nodes" not in policy:
        message = f"the field 'nodes' is missing: the mode {mode} needs it, as 0-1"
        yield _finding(("memoryPolicy", "nodes"), message)
    flags = policy.get("flags", ())
    if {"STATIC_NODES", "RELATIVE_NODES"} <= set(flags):
        message = "STATIC_NODES and RELATIVE_NODES contradict each other"
        yield _finding(("memoryPolicy", "flags"), message)
    if "NUMA_BALANCING" in flags and mode not in ("BIND", "PREFERRED_MANY"):
        message = "NUMA_BALANCING goes with the modes BIND and PREFERRED_MANY alone"
        yield _finding(("memoryPolicy", "flags"), message)


def _finding(path: Path, message: str) -> Finding:
    return Finding(ErrorCode.SpecValue, path, message)
