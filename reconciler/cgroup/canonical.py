"""Limits in canonical form, by spec field path: what observed and desired are compared in.

`canonical_limits` is the desired side; the controllers' `read_limits` give the observed
side in the same form. Called by the drivers and by the control loop. It reads and writes
no cgroup.

| field | value | None means |
| --- | --- | --- |
| resources.memory.max, .high, .low, .min, .swap | bytes, whole pages | unlimited; low, min: 0 |
| resources.memory.oomGroup | True | one by one |
| resources.memory.reservation | bytes, whole pages (v1; on v2 it is low) | unlimited |
| resources.memory.swappiness, .disableOomKiller | 0-200; True | the parent's; False |
| resources.cpu.max | thousandths of a CPU | unlimited |
| resources.cpu.period | microseconds | that of `convert.quota_of` |
| resources.cpu.burst | nanoseconds | none |
| resources.cpu.weight, io.weight | 1-10000 | the kernel's default, 100; cpu: also idle |
| resources.cpu.idle | True | not idle |
| resources.cpu.cpus, .mems | kernel's spelling, `0-3,8` | the parent's |
| resources.cpu.realtimeRuntime, .realtimePeriod | microseconds | 0; 1 s |
| resources.pids.max | tasks | unlimited |
| resources.io.weights | sorted (MAJ:MIN, weight) | |
| resources.io.max | sorted (MAJ:MIN, rbps, wbps, riops, wiops) | in a tuple: unlimited |
| resources.hugetlb | sorted (page size in bytes, bytes) | |
| resources.rdma | sorted (device, handles, objects) | in a tuple: unlimited |
| resources.net.classId, .priorities | number; sorted (interface, priority) | 0 |
| resources.unified | sorted (file, content) | |
"""

from __future__ import annotations

from reconciler.cgroup import convert
from reconciler.cgroup.devices import device_number
from reconciler.lean import Any, Callable, Mapping, NamedTuple, TypeVar, cast
from reconciler.model.config import CpuLimits, HugetlbLimit, IoDeviceWeight, IoLimits, Resources
from reconciler.model.frozen import frozen
from reconciler.model.value import Value

MEMORY_MAX = "resources.memory.max"
MEMORY_HIGH = "resources.memory.high"
MEMORY_LOW = "resources.memory.low"
MEMORY_MIN = "resources.memory.min"
MEMORY_SWAP = "resources.memory.swap"
MEMORY_OOM_GROUP = "resources.memory.oomGroup"
MEMORY_RESERVATION = "resources.memory.reservation"
MEMORY_SWAPPINESS = "resources.memory.swappiness"
MEMORY_DISABLE_OOM_KILLER = "resources.memory.disableOomKiller"
CPU_MAX = "resources.cpu.max"
CPU_PERIOD = "resources.cpu.period"
CPU_BURST = "resources.cpu.burst"
CPU_WEIGHT = "resources.cpu.weight"
CPU_IDLE = "resources.cpu.idle"
CPU_CPUS = "resources.cpu.cpus"
CPU_MEMS = "resources.cpu.mems"
CPU_RT_RUNTIME = "resources.cpu.realtimeRuntime"
CPU_RT_PERIOD = "resources.cpu.realtimePeriod"
PIDS_MAX = "resources.pids.max"
IO_WEIGHT = "resources.io.weight"
IO_WEIGHTS = "resources.io.weights"
IO_MAX = "resources.io.max"
HUGETLB = "resources.hugetlb"
RDMA = "resources.rdma"
NET_CLASS_ID = "resources.net.classId"
NET_PRIORITIES = "resources.net.priorities"
UNIFIED_FILES = "resources.unified"

ON_DEMAND = frozenset(
    (
        *(MEMORY_RESERVATION, MEMORY_SWAPPINESS, MEMORY_DISABLE_OOM_KILLER),
        *(CPU_PERIOD, CPU_RT_RUNTIME, CPU_RT_PERIOD, HUGETLB, RDMA),
        *(NET_CLASS_ID, NET_PRIORITIES, UNIFIED_FILES),
    )
)
"""Fields that are read of the containers alone that have them: most have none."""

_NONE = Resources()
Limits = Mapping[str, Value]
Only = frozenset[str] | None  # of the fields that a call changes; None: all
T = TypeVar("T")
IoMax = tuple[str, int | None, int | None, int | None, int | None]


class Unsupported(NamedTuple):
    """A limit that this host cannot enforce: which field, why, and how to get it."""

    field: str
    reason: str
    how: str


@frozen
class LimitFacts:
    """What canonical form depends on, read once from the host by `driver.facts()`.

    `fields` are those the drivers can show, those on demand aside. `is_bfq`: io.weight goes
    through BFQ's scale. `has_shares`, `has_soft_limit`: cpu and memory are v1's.
    `inherited_*`: on v1 a cpuset (or swappiness) equal to its parent's is no limit; None on v2,
    where only an empty one is none.
    """

    fields: frozenset[str]
    is_bfq: bool = False
    has_shares: bool = False
    has_soft_limit: bool = False
    inherited_cpus: str | None = None
    inherited_mems: str | None = None
    inherited_swappiness: int | None = None


def canonical_limits(
    resources: Resources,
    facts: LimitFacts,
    resolve_device: Callable[[str], str] = device_number,
) -> dict[str, Value]:
    """Return the limits that `read_limits` shows once `resources` were applied.

    Pure but for `resolve_device`, which turns `/dev/vda` into `254:0`.
    """
    wanted = all_limits(resources, facts, resolve_device)
    return {
        name: value
        for name, value in wanted.items()
        if name in facts.fields or (name in ON_DEMAND and is_limit(value))
    }


def asked_fields(resources: Resources, *, has_soft_limit: bool = True) -> frozenset[str]:
    """Return the fields on demand that the resources have; files as `resources.unified.NAME`."""
    if resources == _NONE:
        return frozenset()
    facts = LimitFacts(fields=frozenset(), has_soft_limit=has_soft_limit)
    wanted = all_limits(resources, facts, lambda device: device)
    names = (name for name, _ in _folded(resources).unified)
    files = (f"{UNIFIED_FILES}.{name}" for name in names)
    return frozenset((*files, *(name for name in ON_DEMAND if is_limit(wanted[name]))))


def all_limits(
    resources: Resources, facts: LimitFacts, resolve_device: Callable[[str], str] = device_number
) -> dict[str, Value]:
    """Return every field in canonical form, those that cannot be shown included.

    Raises: ConfigInvalid for content of `resources.unified` that a field cannot have.
    """
    resources = _folded(resources)
    cpu, io, net = resources.cpu, resources.io, resources.net
    return {
        **_memory(resources, facts),
        CPU_MAX: _milli(cpu),
        CPU_PERIOD: none_if(cpu.period_us, convert.period_of(_milli(cpu))),
        CPU_BURST: (cpu.burst_ns or 0) // 1000 * 1000 or None,
        CPU_WEIGHT: None if cpu.idle else _cpu_weight(cpu, facts),
        CPU_IDLE: cpu.idle or None,
        CPU_CPUS: none_if(_canonical_list(cpu.cpus), facts.inherited_cpus),
        CPU_MEMS: none_if(_canonical_list(cpu.mems), facts.inherited_mems),
        CPU_RT_RUNTIME: cpu.realtime_runtime_us or None,
        CPU_RT_PERIOD: none_if(cpu.realtime_period_us, convert.REALTIME_PERIOD_US),
        PIDS_MAX: resources.pids.max,
        IO_WEIGHT: _io_weight(io.weight, io.blkio_weight, facts),
        IO_WEIGHTS: _io_weights(io, facts, resolve_device),
        IO_MAX: _canonical_io_max(io, resolve_device),
        HUGETLB: tuple(
            sorted((one.page_size_bytes, _whole_pages(one)) for one in resources.hugetlb)
        ),
        RDMA: tuple(
            sorted((one.device, one.hca_handles, one.hca_objects) for one in resources.rdma)
        ),
        NET_CLASS_ID: net.class_id or None,
        NET_PRIORITIES: tuple(sorted(net.priorities)),
        UNIFIED_FILES: _unified(resources),
    }


def _folded(resources: Resources) -> Resources:
    if not resources.unified:
        return resources
    from reconciler.cgroup.unified_fields import fold_unified

    return fold_unified(resources)


def _unified(resources: Resources) -> tuple[tuple[str, str], ...]:
    rows = ((name, convert.plain_content(name, text)) for name, text in resources.unified)
    return tuple(sorted(row for row in rows if row[1] not in convert.UNSET))


def _memory(resources: Resources, facts: LimitFacts) -> dict[str, Value]:
    memory = resources.memory
    reservation = convert.page_floor(memory.reservation_bytes)
    low = convert.page_floor(memory.low_bytes)
    return {
        MEMORY_MAX: convert.page_floor(memory.max_bytes),
        MEMORY_HIGH: convert.page_floor(memory.high_bytes),
        MEMORY_LOW: (low if facts.has_soft_limit or low else reservation) or None,
        MEMORY_MIN: convert.page_floor(memory.min_bytes) or None,
        MEMORY_SWAP: convert.page_floor(memory.swap_bytes),
        MEMORY_OOM_GROUP: memory.oom_group or None,
        MEMORY_RESERVATION: reservation if facts.has_soft_limit else None,
        MEMORY_SWAPPINESS: none_if(memory.swappiness, facts.inherited_swappiness),
        MEMORY_DISABLE_OOM_KILLER: memory.disable_oom_killer or None,
    }


def _milli(cpu: CpuLimits) -> int | float | None:
    if cpu.quota_us is None:
        return cpu.max_milli
    return convert.milli_of(cpu.quota_us, cpu.period_us or convert.PERIOD_US)


def _whole_pages(one: HugetlbLimit) -> int:
    return one.max_bytes // one.page_size_bytes * one.page_size_bytes


def _cpu_weight(cpu: CpuLimits, facts: LimitFacts) -> int | float | None:
    weight: int | float | None = cpu.weight
    if weight is None and cpu.shares is not None:
        to_weight = convert.weight_of if facts.has_shares else convert.weight_of_oci_shares
        weight = to_weight(cpu.shares)
    return none_if(weight, convert.DEFAULT_WEIGHT)


def is_limit(value: Value) -> bool:
    """Tell whether a canonical value limits anything (0 does)."""
    return value is not None and value != ()


def changed_fields(wanted: Limits, shown: Limits) -> frozenset[str]:
    """Return the fields of `wanted` that are not so yet; those that are not shown count."""
    return frozenset(
        name for name, value in wanted.items() if name not in shown or shown[name] != value
    )


def narrow(wanted: Limits, shown: Limits, only: Only) -> dict[str, Value]:
    """Return the limits with all but `only` these fields as they are now."""
    return {
        name: value if only is None or name in only else shown.get(name, value)
        for name, value in wanted.items()
    }


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


def typed_rows(value: Value) -> tuple[tuple[Any, ...], ...]:
    """Return the rows of a field whose canonical value is a tuple of rows."""
    return cast("tuple[tuple[Any, ...], ...]", value or ())


def io_max_rows(limits: Limits) -> tuple[IoMax, ...]:
    """Return the throttles of canonical limits, typed."""
    return cast("tuple[IoMax, ...]", limits.get(IO_MAX) or ())


def _canonical_list(text: str | None) -> str | None:
    """Return the kernel's spelling; a text that is no list stays, `unsupported` tells why."""
    try:
        return text and convert.format_list(convert.parse_list(text))
    except ValueError:
        return text


def _io_weight(weight: int | None, blkio_weight: int | None, facts: LimitFacts) -> int | None:
    """Return the weight that will be shown; `blkio_weight` is BFQ's own scale, 10-1000."""
    if weight is None and blkio_weight is not None:
        to_weight = convert.weight_of_bfq if facts.is_bfq else convert.weight_of_oci_blkio
        weight = to_weight(blkio_weight)
    elif weight is not None and facts.is_bfq:
        weight = convert.weight_of_bfq(convert.bfq_weight_of(weight))
    return none_if(weight, convert.DEFAULT_WEIGHT)


def _io_weights(
    io: IoLimits, facts: LimitFacts, resolve_device: Callable[[str], str]
) -> tuple[tuple[str, int], ...]:
    def rows(items: tuple[IoDeviceWeight, ...], *, is_blkio: bool) -> dict[str, int]:
        found = {}
        for one in items:
            own, of_blkio = (None, one.weight) if is_blkio else (one.weight, None)
            weight = _io_weight(own, of_blkio, facts)
            device = _resolved(one.device, resolve_device)
            found[device] = convert.DEFAULT_WEIGHT if weight is None else weight
        return found

    weights = rows(io.blkio_weights, is_blkio=True) | rows(io.weights, is_blkio=False)
    return tuple(sorted(weights.items()))


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
