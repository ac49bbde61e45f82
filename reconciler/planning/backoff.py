"""How long to wait before the next try, in nanoseconds; when a run counts as stable.

Called by the restart policy and for actions that failed. Pure arithmetic: the jitter comes
from the name and the attempt, so that the same plan is made of the same world.
"""

from __future__ import annotations

from binascii import crc32

from reconciler.model.spec import Backoff, Restart

NS = 10**9

# A moment this far in the future is the clock having been set back, not a race with it.
CLOCK_SKEW_S = 1.0


def delay_ns(backoff: Backoff, attempts: int) -> int:
    """Return the wait after `attempts` failures in a row: `min(max, initial * factor^(n-1))`.

    The first wait is `initial`; no failures, no wait.
    """
    if attempts < 1:
        return 0
    try:
        delay = backoff.initial_ns * backoff.factor ** (attempts - 1)
    except OverflowError:
        return backoff.max_ns
    return int(min(delay, backoff.max_ns))


def jittered_ns(backoff: Backoff, attempts: int, name: str) -> int:
    """Return the wait of `delay_ns` less a share of it: from none to `jitter`, by the name."""
    delay = delay_ns(backoff, attempts)
    if not backoff.jitter:
        return delay
    share = crc32(f"{name}/{attempts}".encode()) / 2**32
    return int(delay * (1 - backoff.jitter * share))


def due_at(ended_at: float, backoff: Backoff, attempts: int, name: str) -> float:
    """Return the wall-clock second of the next try after an end at `ended_at` (seconds)."""
    return ended_at + jittered_ns(backoff, attempts, name) / NS


def is_due(ended_at: float, due: float, now: float) -> bool:
    """Tell whether to try now; an end in the future (a clock set back) is no reason to wait."""
    return now >= due or ended_at > now + CLOCK_SKEW_S


def is_stable(started_at: float | None, ended_at: float, restart: Restart) -> bool:
    """Tell whether a run made up for the failures before it: it lasted long enough."""
    enough = restart.backoff.max_ns if restart.reset_after_ns is None else restart.reset_after_ns
    return started_at is not None and (ended_at - started_at) * NS >= enough
