"""Memory and swap limits of v2 (kernel: admin-guide/cgroup-v2.rst, "Memory").

A memory.max below usage makes the kernel kill (mm/memcontrol.c, memory_max_write), so usage is
brought down first.
"""

from __future__ import annotations

from reconciler.cgroup import convert, core, files, lowering
from reconciler.cgroup.canonical import (
    MEMORY_DISABLE_OOM_KILLER,
    MEMORY_HIGH,
    MEMORY_LOW,
    MEMORY_MAX,
    MEMORY_MIN,
    MEMORY_OOM_GROUP,
    MEMORY_RESERVATION,
    MEMORY_SWAP,
    MEMORY_SWAPPINESS,
    Limits,
    Unsupported,
    changed_fields,
)
from reconciler.lean import Callable, Collection, suppress
from reconciler.model.frozen import replace
from reconciler.model.stats import MemoryStats, Stats
from reconciler.model.value import Value

NAME = "memory"
_FILES = {
    MEMORY_MIN: "memory.min",
    MEMORY_LOW: "memory.low",
    MEMORY_HIGH: "memory.high",
    MEMORY_MAX: "memory.max",
    MEMORY_SWAP: "memory.swap.max",
    MEMORY_OOM_GROUP: "memory.oom.group",
}
# 0 and not `max` is what is not set.
_FROM_ZERO = (MEMORY_MIN, MEMORY_LOW, MEMORY_OOM_GROUP)
_OF_V1 = {
    MEMORY_SWAPPINESS: "swappiness of a cgroup",
    MEMORY_DISABLE_OOM_KILLER: "way to disable the OOM killer",
}
FIELDS = (*_FILES, MEMORY_RESERVATION, *_OF_V1)


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    has_swap = _has_swap(base)
    return tuple(field for field in _FILES if has_swap or field != MEMORY_SWAP)


def _has_swap(base: str) -> bool:
    """Tell whether the kernel accounts swap.

    The root cgroup has no memory.max either; there a kernel built with swap has to do.
    """
    if files.exists(f"{base}/memory.max"):
        return files.exists(f"{base}/memory.swap.max")
    return files.exists("/proc/swaps")


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    found = [
        Unsupported(field, f"cgroup v2 has no {what}", "leave it out")
        for field, what in _OF_V1.items()
        if wanted[field] is not None
    ]
    if wanted[MEMORY_SWAP] is not None and not _has_swap(base):
        reason = "this kernel does not account swap"
        found.append(Unsupported(MEMORY_SWAP, reason, "boot with swapaccount=1"))
    return found


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write what is not shown already; a `max` below what is in use is reclaimed towards before.

    Raises: LimitNotApplied when usage cannot be brought below `max`: the caller puts back what
    was there; OSError with path and data.
    """
    changed = changed_fields(wanted, shown or {})
    limit = wanted.get(MEMORY_MAX)
    if (
        MEMORY_MAX in changed
        and isinstance(limit, int)
        and _usage(path) > lowering.target_of(limit)
    ):
        former = _read_size(path, "memory.max")
        if former is None or limit < former:
            _lower(path, wanted, limit, former)
            changed -= {MEMORY_MAX, MEMORY_HIGH, MEMORY_SWAP}
    for field in _FILES:
        if field in changed:
            _write(path, wanted, field)


def _write(path: str, wanted: Limits, field: str) -> None:
    if field not in wanted:
        return
    value = wanted[field]
    text = (
        str(int(value) if isinstance(value, int) else 0)
        if field in _FROM_ZERO
        else convert.format_max(value)
    )
    files.write_text(f"{path}/{_FILES[field]}", text)


def _lower(path: str, wanted: Limits, limit: int, former: int | None) -> None:
    """Lower `max` below or close to what is in use: reclaim, hold growth back, write, verify."""
    kills = core.oom_kills({core.UNIFIED: path})
    _write(path, wanted, MEMORY_SWAP)  # first, since it decides what can be reclaimed
    lowering.check_reachable(limit, _usage(path), _reclaim_figures(path), former)
    target = lowering.target_of(limit)
    usage = lowering.reclaim_towards(target, lambda: _usage(path), _reclaimer(path))
    if usage <= limit:
        # Who allocates meanwhile is throttled here, and not killed at `max`.
        files.write_text(f"{path}/memory.high", str(target))
        usage = _usage(path)
    if usage > limit:
        raise lowering.refusal(limit, usage, former, "reclaim got no further")
    _write(path, wanted, MEMORY_MAX)
    _write(path, wanted, MEMORY_HIGH)
    if core.oom_kills({core.UNIFIED: path}) > kills:
        usage = _usage(path)
        raise lowering.refusal(limit, usage, former, "the OOM killer struck on the way")


def _usage(path: str) -> int:
    return int(files.read_text(f"{path}/memory.current"))


def _reclaim_figures(path: str) -> dict[str, int]:
    room = lowering.swap_free_bytes()
    limit = convert.parse_max(files.read_optional(f"{path}/memory.swap.max") or "max")
    if room and limit is not None:
        room = min(room, max(0, limit - int(files.read_text(f"{path}/memory.swap.current"))))
    return files.read_flat(f"{path}/memory.stat") | {"swap_room": room}


def _reclaimer(path: str) -> Callable[[int, int], None]:
    """Return how a step of reclaim is done: memory.reclaim (kernel 5.19), else memory.high."""
    if not files.exists(f"{path}/memory.reclaim"):
        return lambda _usage, aim: files.write_text(f"{path}/memory.high", str(aim))

    def reclaim(usage: int, aim: int) -> None:
        with suppress(BlockingIOError):  # EAGAIN: less was reclaimed than asked for
            files.write_text(f"{path}/memory.reclaim", str(usage - aim))

    return reclaim


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the limits in canonical form.

    Raises: OSError with the path.
    """
    limits: dict[str, Value] = {
        MEMORY_MIN: _read_size(path, "memory.min") or None,
        MEMORY_LOW: _read_size(path, "memory.low") or None,
        MEMORY_HIGH: _read_size(path, "memory.high"),
        MEMORY_MAX: _read_size(path, "memory.max"),
        MEMORY_OOM_GROUP: files.read_text(f"{path}/memory.oom.group").strip() == "1" or None,
    }
    swap_text = files.read_optional(f"{path}/memory.swap.max")
    if swap_text is not None:
        limits[MEMORY_SWAP] = convert.page_floor(convert.parse_max(swap_text))
    return limits


def _read_size(path: str, name: str) -> int | None:
    return convert.page_floor(convert.parse_max(files.read_text(f"{path}/{name}")))


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with the memory figures filled in (`peak` from kernel 5.19 on).

    Raises: OSError with the path.
    """
    details = files.read_flat(f"{path}/memory.stat")
    peak_text = files.read_optional(f"{path}/memory.peak")
    swap_text = files.read_optional(f"{path}/memory.swap.current")
    events = files.read_flat(f"{path}/memory.events")
    memory = MemoryStats(
        usage_bytes=_usage(path),
        peak_bytes=None if peak_text is None else int(peak_text),
        limit_bytes=_read_size(path, "memory.max"),
        swap_bytes=None if swap_text is None else int(swap_text),
        anon_bytes=details.get("anon"),
        file_bytes=details.get("file"),
        kernel_bytes=details.get("kernel"),
        limit_hits=events.get("max", 0),
        oom_kills=events.get("oom_kill", 0),
    )
    return replace(stats, memory=memory)
