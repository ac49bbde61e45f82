"""Wall-clock seconds as text. The time itself is injected: see `reconciler.linux.clock`."""

from __future__ import annotations

import time


def format_time(at: float) -> str:
    """Return wall-clock seconds as RFC 3339 in UTC, with milliseconds."""
    milliseconds = int(at * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03}Z"
