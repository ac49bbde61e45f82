"""Memory and swap limits of v2 (kernel: admin-guide/cgroup-v2.rst, "Memory")."""

from __future__ import annotations

from dataclasses import replace

from reconciler.cgroup import convert, core, files
from reconciler.cgroup.canonical import MEMORY_HIGH, MEMORY_MAX, MEMORY_SWAP, Limits, Unsupported
from reconciler.model.state import MemoryStats, Stats
from reconciler.model.world import Value

NAME = "memory"
FIELDS = (MEMORY_MAX, MEMORY_HIGH, MEMORY_SWAP)
_FILES = {
    MEMORY_HIGH: "memory.high",
    MEMORY_MAX: "memory.max",
    MEMORY_SWAP: "memory.swap.max",
}


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    return FIELDS if _has_swap(base) else (MEMORY_MAX, MEMORY_HIGH)


def _has_swap(base: str) -> bool:
    """Tell whether the kernel accounts swap.

    The root cgroup has no memory.max either; there a kernel built with swap has to do.
    """
    if files.exists(f"{base}/memory.max"):
        return files.exists(f"{base}/memory.swap.max")
    return files.exists("/proc/swaps")


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    if wanted[MEMORY_SWAP] is None or _has_swap(base):
        return []
    reason = "this kernel does not account swap"
    return [Unsupported(MEMORY_SWAP, reason, "boot with swapaccount=1")]


def write_limits(path: str, wanted: Limits) -> None:
    """Write the limits, `high` first, so that reclaim begins before `max` kills.

    Raises: OSError with path and data.
    """
    for field, name in _FILES.items():
        if field in wanted:
            files.write_text(f"{path}/{name}", convert.format_max(wanted[field]))


def read_limits(path: str) -> dict[str, Value]:
    """Return the limits in canonical form.

    Raises: OSError with the path.
    """
    limits: dict[str, Value] = {
        MEMORY_MAX: _read_size(path, "memory.max"),
        MEMORY_HIGH: _read_size(path, "memory.high"),
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
    memory = MemoryStats(
        usage_bytes=int(files.read_text(f"{path}/memory.current")),
        peak_bytes=None if peak_text is None else int(peak_text),
        limit_bytes=_read_size(path, "memory.max"),
        swap_bytes=None if swap_text is None else int(swap_text),
        anon_bytes=details.get("anon"),
        file_bytes=details.get("file"),
        oom_kills=core.oom_kills({core.UNIFIED: path}),
    )
    return replace(stats, memory=memory)
