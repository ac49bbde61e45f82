"""Memory and swap limits of v1 (kernel: admin-guide/cgroup-v1/memory.rst).

v1 limits memory plus swap together (memsw), a spec limits swap beyond memory: memsw is
their sum. The kernel refuses a memory limit above memsw at any moment, which decides the
order of writes. A limit below usage kills nothing: the kernel reclaims, and takes the limit only
once usage is below it, else answers EBUSY (mm/memcontrol-v1.c, mem_cgroup_resize_max).
"""

from __future__ import annotations

import errno
import os
import time

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
from reconciler.lean import Collection
from reconciler.model.frozen import replace
from reconciler.model.stats import MemoryStats, Stats
from reconciler.model.value import Value

NAME = "memory"
_OF_V2 = {
    MEMORY_HIGH: "memory.high",
    MEMORY_LOW: "memory.low",
    MEMORY_MIN: "memory.min",
    MEMORY_OOM_GROUP: "memory.oom.group",
}
_OWN = (MEMORY_RESERVATION, MEMORY_SWAPPINESS, MEMORY_DISABLE_OOM_KILLER)
FIELDS = (MEMORY_MAX, MEMORY_SWAP, *_OF_V2, *_OWN)
_LIMIT = "memory.limit_in_bytes"
_MEMSW = "memory.memsw.limit_in_bytes"
_SOFT_LIMIT = "memory.soft_limit_in_bytes"
_SWAPPINESS = "memory.swappiness"
_OOM_CONTROL = "memory.oom_control"
_KERNEL_USAGE = "memory.kmem.usage_in_bytes"
_RECLAIM_FIGURES = ("inactive_anon", "active_anon", "inactive_file", "active_file")
_ATTEMPTS = 5
_PAUSE_S = 0.02  # time for write-back, which makes dirty pages reclaimable


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that cgroups below `base` can show."""
    return (MEMORY_MAX, MEMORY_SWAP) if files.exists(f"{base}/{_MEMSW}") else (MEMORY_MAX,)


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`."""
    how = "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1)"
    found = [
        Unsupported(field, f"cgroup v1 has no {name}", how)
        for field, name in _OF_V2.items()
        if wanted[field] is not None
    ]
    if wanted[MEMORY_SWAP] is None:
        return found
    if not files.exists(f"{base}/{_MEMSW}"):
        reason = "this kernel does not account swap"
        found.append(Unsupported(MEMORY_SWAP, reason, "boot with swapaccount=1"))
    elif wanted[MEMORY_MAX] is None:
        reason = "cgroup v1 limits swap only together with memory"
        found.append(Unsupported(MEMORY_SWAP, reason, f"set {MEMORY_MAX} too, or use cgroup v2"))
    return found


def inherited_swappiness(base: str) -> int | None:
    """Return the swappiness of new cgroups below `base`."""
    text = files.read_optional(f"{base}/{_SWAPPINESS}")
    return None if text is None else int(text)


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write what is not shown already.

    Raises: LimitNotApplied when the kernel cannot reclaim enough: the caller puts back what was
    there; OSError with path and data.
    """
    changed = changed_fields(wanted, shown or {})
    if changed & {MEMORY_MAX, MEMORY_SWAP}:
        _write_sizes(path, wanted)
    if MEMORY_RESERVATION in changed:
        files.write_text(f"{path}/{_SOFT_LIMIT}", str(_limit_of(wanted[MEMORY_RESERVATION])))
    if MEMORY_SWAPPINESS in changed:
        value = wanted[MEMORY_SWAPPINESS]
        inherited = inherited_swappiness(os.path.dirname(path))
        files.write_text(f"{path}/{_SWAPPINESS}", str(inherited if value is None else value))
    if MEMORY_DISABLE_OOM_KILLER in changed:
        is_disabled = bool(wanted[MEMORY_DISABLE_OOM_KILLER])
        files.write_text(f"{path}/{_OOM_CONTROL}", str(int(is_disabled)))


def _write_sizes(path: str, wanted: Limits) -> None:
    """Write memory and memsw; lowers memory before memsw and raises memsw before memory."""
    limit = _limit_of(wanted[MEMORY_MAX])
    if limit != -1:
        _check_reachable(path, limit)
    if MEMORY_SWAP not in wanted:
        _write(path, _LIMIT, limit)
        return
    swap = wanted[MEMORY_SWAP]
    memsw = -1 if limit == -1 or not isinstance(swap, int) else limit + swap
    writes = [(_LIMIT, limit), (_MEMSW, memsw)]
    if limit == -1 or limit > int(files.read_text(f"{path}/{_MEMSW}")):
        writes.reverse()
    for name, value in writes:
        _write(path, name, value)


def _check_reachable(path: str, limit: int) -> None:
    usage = _usage(path, _LIMIT)
    if usage <= lowering.target_of(limit):
        return
    former = int(files.read_text(f"{path}/{_LIMIT}"))
    if limit >= former:
        return
    details = files.read_flat(f"{path}/memory.stat")
    figures = {name: details[f"total_{name}"] for name in _RECLAIM_FIGURES}
    # An upper bound: v1 does not tell how much of the kernel's memory is slab that can go.
    figures["slab_reclaimable"] = int(files.read_optional(f"{path}/{_KERNEL_USAGE}") or 0)
    figures["swap_room"] = lowering.swap_free_bytes()
    lowering.check_reachable(limit, usage, figures, convert.page_floor(former))


def _write(path: str, name: str, value: int) -> None:
    """Write a limit; below usage in bounded attempts, each of which reclaims.

    There are no steps between: the kernel goes in small ones, and a limit on the way, as tight
    as usage, would kill what allocates meanwhile though the last step failed.
    """
    deadline = time.monotonic() + lowering.PATIENCE_S
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            files.write_text(f"{path}/{name}", str(value))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            if attempt == _ATTEMPTS or time.monotonic() > deadline:
                former = convert.page_floor(int(files.read_text(f"{path}/{name}")))
                field = MEMORY_MAX if name == _LIMIT else f"{MEMORY_MAX} plus {MEMORY_SWAP}"
                usage = _usage(path, name)
                raise lowering.refusal(
                    value, usage, former, "the kernel can reclaim no more", field
                ) from error
            time.sleep(_PAUSE_S)
        else:
            return


def _usage(path: str, name: str) -> int:
    """Return the usage that a limit file limits."""
    return int(files.read_text(f"{path}/{name.replace('limit', 'usage')}"))


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the limits in canonical form; of those on demand the ones that are asked for.

    Raises: OSError with the path.
    """
    limit = convert.page_floor(int(files.read_text(f"{path}/{_LIMIT}")))
    limits: dict[str, Value] = {MEMORY_MAX: limit}
    memsw_text = files.read_optional(f"{path}/{_MEMSW}")
    if memsw_text is not None:
        memsw = convert.page_floor(int(memsw_text))
        limits[MEMORY_SWAP] = None if memsw is None or limit is None else memsw - limit
    if MEMORY_RESERVATION in asked:
        soft = int(files.read_text(f"{path}/{_SOFT_LIMIT}"))
        limits[MEMORY_RESERVATION] = convert.page_floor(soft)
    if MEMORY_SWAPPINESS in asked:
        swappiness = int(files.read_text(f"{path}/{_SWAPPINESS}"))
        is_own = swappiness != inherited_swappiness(os.path.dirname(path))
        limits[MEMORY_SWAPPINESS] = swappiness if is_own else None
    if MEMORY_DISABLE_OOM_KILLER in asked:
        words = files.read_text(f"{path}/{_OOM_CONTROL}").split()
        limits[MEMORY_DISABLE_OOM_KILLER] = words[1] == "1" or None
    return limits


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with the memory figures filled in.

    Raises: OSError with the path.
    """
    details = files.read_flat(f"{path}/memory.stat")
    memory = MemoryStats(
        usage_bytes=_usage(path, _LIMIT),
        peak_bytes=int(files.read_text(f"{path}/memory.max_usage_in_bytes")),
        limit_bytes=convert.page_floor(int(files.read_text(f"{path}/{_LIMIT}"))),
        swap_bytes=details.get("total_swap"),
        anon_bytes=details.get("total_rss"),
        file_bytes=details.get("total_cache"),
        kernel_bytes=int(files.read_optional(f"{path}/{_KERNEL_USAGE}") or 0),
        limit_hits=int(files.read_text(f"{path}/memory.failcnt")),
        oom_kills=core.oom_kills({NAME: path}),
    )
    return replace(stats, memory=memory)


def _limit_of(value: Value) -> int:
    return value if isinstance(value, int) else -1
