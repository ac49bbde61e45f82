"""A memory limit below what is in use: whether it can be reached, and how far reclaim comes.

Called by the memory controllers of v1 and v2. It writes no file: the caller says how one step
of reclaim is done. Nothing here kills, and every wait is bounded.
"""

from __future__ import annotations

import os
import time

from reconciler.cgroup import files
from reconciler.cgroup.canonical import MEMORY_MAX
from reconciler.cgroup.convert import PAGE_BYTES
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Callable, Mapping
from reconciler.model.value import Value

STEPS_MAX = 32
PATIENCE_S = 5.0
_STALLS_MAX = 3
_PAUSE_S = 0.02  # time for write-back, which makes dirty pages reclaimable
_SHARES = 16
_SMALLEST_STEP_BYTES = 4 * 2**20
_HEADROOM_SHARE = 64
# Each CPU holds back so many page charges, and as many changes of memory.stat (MEMCG_CHARGE_BATCH).
_BATCH_PAGES = 64


def target_of(limit_bytes: int) -> int:
    """Return the usage to reclaim towards: below the limit, since what runs goes on allocating."""
    return limit_bytes - limit_bytes // _HEADROOM_SHARE


def check_reachable(
    limit_bytes: int, usage_bytes: int, stat: Mapping[str, int], kept: Value
) -> None:
    """Refuse a limit that no reclaim can reach, before the container loses its page cache for it.

    `stat` has v2's names (memory.stat), of the cgroup and all below it, `swap_room` beside them.

    Raises: LimitNotApplied.
    """
    anon = stat["inactive_anon"] + stat["active_anon"]
    reclaimable = (
        stat["inactive_file"]
        + stat["active_file"]
        + stat.get("slab_reclaimable", 0)
        + min(anon, stat["swap_room"])
    )
    slack = 2 * _BATCH_PAGES * PAGE_BYTES * (os.cpu_count() or 1)
    if usage_bytes - reclaimable - slack > target_of(limit_bytes):
        why = f"at most {_size(min(reclaimable, usage_bytes))} of it can be reclaimed"
        raise refusal(limit_bytes, usage_bytes, kept, why)


def reclaim_towards(
    target_bytes: int, read_usage: Callable[[], int], reclaim_to: Callable[[int, int], None]
) -> int:
    """Reclaim in steps until usage is at the target, and return the usage at the end.

    `reclaim_to(usage, aim)` tries one step from one to the other. It ends above the target after
    STEPS_MAX steps, PATIENCE_S, or a few steps in a row that gained nothing.
    """
    deadline = time.monotonic() + PATIENCE_S
    usage = read_usage()
    step = max((usage - target_bytes) // _SHARES, _SMALLEST_STEP_BYTES)
    stalls = 0
    for _ in range(STEPS_MAX):
        if usage <= target_bytes or stalls == _STALLS_MAX or time.monotonic() > deadline:
            break
        reclaim_to(usage, max(target_bytes, usage - step))
        before, usage = usage, read_usage()
        stalls = stalls + 1 if usage >= before else 0
        if stalls:
            time.sleep(_PAUSE_S)
    return usage


def swap_free_bytes() -> int:
    """Return how much swap the host has left (proc(5), meminfo). Raises: OSError."""
    lines = files.read_text("/proc/meminfo").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("SwapFree:")), 0)


def refusal(
    limit_bytes: int, usage_bytes: int, kept: Value, why: str, field: str = MEMORY_MAX
) -> ReconcilerError:
    """Return the error for a limit that is not lowered; `kept` is the one that stays in force."""
    stays = _size(kept) if isinstance(kept, int) else "unlimited"
    return ReconcilerError(
        ErrorCode.LimitNotApplied,
        f"cannot lower {field} to {_size(limit_bytes)}: {_size(usage_bytes)} is in use and {why}; "
        f"it stays {stays}; ask for more, or restart it so that it uses less and apply again",
        field=field,
    )


def _size(size_bytes: int) -> str:
    from reconciler.model.quantity import format_size_rounded

    return format_size_rounded(size_bytes)
