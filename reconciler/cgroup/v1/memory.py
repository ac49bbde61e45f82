"""Memory and swap limits of v1 (kernel: admin-guide/cgroup-v1/memory.rst).

v1 limits memory plus swap together (memsw), a spec limits swap beyond memory: memsw is
their sum. The kernel refuses a memory limit above memsw at any moment, which decides the
order of writes.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.cgroup import convert, core, files
from reconciler.cgroup.canonical import MEMORY_HIGH, MEMORY_MAX, MEMORY_SWAP, Limits, Unsupported
from reconciler.model.state import MemoryStats, Stats
from reconciler.model.world import Value

NAME = "memory"
FIELDS = (MEMORY_MAX, MEMORY_HIGH, MEMORY_SWAP)
_LIMIT = "memory.limit_in_bytes"
_MEMSW = "memory.memsw.limit_in_bytes"


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    return (MEMORY_MAX, MEMORY_SWAP) if files.exists(f"{base}/{_MEMSW}") else (MEMORY_MAX,)


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    found = []
    if wanted[MEMORY_HIGH] is not None:
        how = "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1)"
        found.append(Unsupported(MEMORY_HIGH, "cgroup v1 has no memory.high", how))
    if wanted[MEMORY_SWAP] is None:
        return found
    if not files.exists(f"{base}/{_MEMSW}"):
        reason = "this kernel does not account swap"
        found.append(Unsupported(MEMORY_SWAP, reason, "boot with swapaccount=1"))
    elif wanted[MEMORY_MAX] is None:
        reason = "cgroup v1 limits swap only together with memory"
        found.append(Unsupported(MEMORY_SWAP, reason, f"set {MEMORY_MAX} too, or use cgroup v2"))
    return found


def write_limits(path: str, wanted: Limits) -> None:
    """Write the limits; lowers memory before memsw and raises memsw before memory.

    Raises: OSError with path and data; EBUSY when the kernel cannot reclaim enough.
    """
    limit = _limit_of(wanted[MEMORY_MAX])
    if MEMORY_SWAP not in wanted:
        files.write_text(f"{path}/{_LIMIT}", str(limit))
        return
    swap = wanted[MEMORY_SWAP]
    memsw = -1 if limit == -1 or not isinstance(swap, int) else limit + swap
    writes = [(_LIMIT, limit), (_MEMSW, memsw)]
    if limit == -1 or limit > int(files.read_text(f"{path}/{_MEMSW}")):
        writes.reverse()
    for name, value in writes:
        files.write_text(f"{path}/{name}", str(value))


def read_limits(path: str) -> dict[str, Value]:
    """Return the limits in canonical form.

    Raises: OSError with the path.
    """
    limit = convert.page_floor(int(files.read_text(f"{path}/{_LIMIT}")))
    memsw_text = files.read_optional(f"{path}/{_MEMSW}")
    if memsw_text is None:
        return {MEMORY_MAX: limit}
    memsw = convert.page_floor(int(memsw_text))
    swap = None if memsw is None or limit is None else memsw - limit
    return {MEMORY_MAX: limit, MEMORY_SWAP: swap}


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with the memory figures filled in.

    Raises: OSError with the path.
    """
    usage = int(files.read_text(f"{path}/memory.usage_in_bytes"))
    details = files.read_flat(f"{path}/memory.stat")
    memory = MemoryStats(
        usage_bytes=usage,
        peak_bytes=int(files.read_text(f"{path}/memory.max_usage_in_bytes")),
        limit_bytes=convert.page_floor(int(files.read_text(f"{path}/{_LIMIT}"))),
        swap_bytes=details.get("total_swap"),
        anon_bytes=details.get("total_rss"),
        file_bytes=details.get("total_cache"),
        oom_kills=core.oom_kills({NAME: path}),
    )
    return replace(stats, memory=memory)


def _limit_of(value: Value) -> int:
    return value if isinstance(value, int) else -1
