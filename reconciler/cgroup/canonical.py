"""Limits in canonical form, by spec field path: what observed and desired are compared in.

`canonical_limits` is the desired side; the controllers' `read_limits` give the observed
side in the same form. Called by the drivers and by the control loop. It reads and writes
no cgroup.

| field | value | None means |
| --- | --- | --- |
| resources.memory.max, .high, .swap | bytes, whole pages | unlimited |
| resources.cpu.max | thousandths of a CPU | unlimited |
| resources.cpu.weight, io.weight | 1-10000 | the kernel's default, 100 |
| resources.cpu.cpus, .mems | kernel's spelling, `0-3,8` | the parent's |
| resources.pids.max | tasks | unlimited |
| resources.io.max | sorted (MAJ:MIN, rbps, wbps, riops, wiops) | in a tuple: unlimited |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast

from reconciler.cgroup import convert
from reconciler.cgroup.devices import device_number
from reconciler.model.config import IoLimits, Resources
from reconciler.model.world import Value

MEMORY_MAX = "resources.memory.max"
MEMORY_HIGH = "resources.memory.high"
MEMORY_SWAP = "resources.memory.swap"
CPU_MAX = "resources.cpu.max"
CPU_WEIGHT = "resources.cpu.weight"
CPU_CPUS = "resources.cpu.cpus"
CPU_MEMS = "resources.cpu.mems"
PIDS_MAX = "resources.pids.max"
IO_WEIGHT = "resources.io.weight"
IO_MAX = "resources.io.max"

Limits = Mapping[str, Value]
T = TypeVar("T")
IoMax = tuple[str, int | None, int | None, int | None, int | None]


class Unsupported(NamedTuple):
    """A limit that this host cannot enforce: which field, why, and how to get it."""

    field: str
    reason: str
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFacts:
    """What canonical form depends on, read once from the host by `driver.facts()`.

    `fields` are those the drivers can show. `is_bfq`: io.weight goes through BFQ's scale.
    `inherited_*`: on v1 a cpuset equal to its parent's is no limit; None on v2, where only an
    empty one is none.
    """

    fields: frozenset[str]
    is_bfq: bool = False
    inherited_cpus: str | None = None
    inherited_mems: str | None = None


def canonical_limits(
    resources: Resources,
    facts: LimitFacts,
    resolve_device: Callable[[str], str] = device_number,
) -> dict[str, Value]:
    """Return the limits that `read_limits` shows once `resources` were applied.

    Pure but for `resolve_device`, which turns `/dev/vda` into `254:0`.
    """
    wanted = all_limits(resources, facts, resolve_device)
    return {name: value for name, value in wanted.items() if name in facts.fields}


def all_limits(
    resources: Resources, facts: LimitFacts, resolve_device: Callable[[str], str] = device_number
) -> dict[str, Value]:
    """Return every field in canonical form, those that cannot be shown included."""
    memory, cpu, io = resources.memory, resources.cpu, resources.io
    return {
        MEMORY_MAX: convert.page_floor(memory.max_bytes),
        MEMORY_HIGH: convert.page_floor(memory.high_bytes),
        MEMORY_SWAP: convert.page_floor(memory.swap_bytes),
        CPU_MAX: cpu.max_milli,
        CPU_WEIGHT: none_if(cpu.weight, convert.DEFAULT_WEIGHT),
        CPU_CPUS: none_if(_canonical_list(cpu.cpus), facts.inherited_cpus),
        CPU_MEMS: none_if(_canonical_list(cpu.mems), facts.inherited_mems),
        PIDS_MAX: resources.pids.max,
        IO_WEIGHT: _canonical_io_weight(io.weight, facts),
        IO_MAX: _canonical_io_max(io, resolve_device),
    }


def is_limit(value: Value) -> bool:
    """Tell whether a canonical value limits anything (0 does)."""
    return value is not None and value != ()


def none_if(value: T, default: object) -> T | None:
    """Return None for a value that is the default, else the value."""
    return None if value == default else value


def sorted_io_max(throttles: Mapping[str, Mapping[str, int]]) -> tuple[IoMax, ...]:
    """Return throttles (device to `rbps`, `wbps`, `riops`, `wiops`) in canonical form."""
    rows = (
        (device, limits.get("rbps"), limits.get("wbps"), limits.get("riops"), limits.get("wiops"))
        for device, limits in throttles.items()
    )
    return tuple(sorted((row for row in rows if row[1:] != (None,) * 4), key=lambda row: row[0]))


def io_max_rows(limits: Limits) -> tuple[IoMax, ...]:
    """Return the throttles of canonical limits, typed."""
    return cast("tuple[IoMax, ...]", limits.get(IO_MAX) or ())


def _canonical_list(text: str | None) -> str | None:
    """Return the kernel's spelling; a text that is no list stays, `unsupported` tells why."""
    try:
        return text and convert.format_list(convert.parse_list(text))
    except ValueError:
        return text


def _canonical_io_weight(weight: int | None, facts: LimitFacts) -> int | None:
    if weight is not None and facts.is_bfq:
        weight = convert.weight_of_bfq(convert.bfq_weight_of(weight))
    return none_if(weight, convert.DEFAULT_WEIGHT)


def _canonical_io_max(io: IoLimits, resolve_device: Callable[[str], str]) -> tuple[IoMax, ...]:
    throttles: dict[str, dict[str, int]] = {}
    for item in io.max:
        given = {
            "rbps": item.read_bytes,
            "wbps": item.write_bytes,
            "riops": item.read_ops,
            "wiops": item.write_ops,
        }
        limits = throttles.setdefault(_resolved(item.device, resolve_device), {})
        limits.update({name: value for name, value in given.items() if value is not None})
    return sorted_io_max(throttles)


def _resolved(device: str, resolve_device: Callable[[str], str]) -> str:
    """Return MAJ:MIN, or the text itself when there is no such device (`unsupported` says so)."""
    try:
        return resolve_device(device)
    except (OSError, ValueError):
        return device
