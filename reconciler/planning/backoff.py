"""How long to wait before the next try, in nanoseconds; when a run counts as stable.

Called by the restart policy and for actions that failed. Pure arithmetic, no jitter: one
host's restarts do not share a server that they could overload.
"""

from __future__ import annotations

from reconciler.model.spec import Backoff

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


def due_at(ended_at: float, backoff: Backoff, attempts: int) -> float:
    """Return the wall-clock second of the next try after an end at `ended_at` (seconds)."""
    return ended_at + delay_ns(backoff, attempts) / NS


def is_due(ended_at: float, due: float, now: float) -> bool:
    """Tell whether to try now; an end in the future (a clock set back) is no reason to wait."""
    return now >= due or ended_at > now + CLOCK_SKEW_S


def is_stable(started_at: float | None, ended_at: float, backoff: Backoff) -> bool:
    """Tell whether a run made up for the failures before it: it lasted at least `max`."""
    return started_at is not None and (ended_at - started_at) * NS >= backoff.max_ns
