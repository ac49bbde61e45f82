"""What an earlier monitor left running, taken over one by one, and again after an error.

Part of the monitor's loop. One that could not be taken over (no descriptor left, a full disk)
would write to a FIFO that nobody reads and end unnoticed: it is tried until it works.
"""

from __future__ import annotations

import os
import sys
import time

from reconciler.lean import Callable
from reconciler.monitor.children import Child, adopt

_RETRY_S = 1.0


class Adoption:
    """The directories of containers that are still to be looked at, and when (monotonic)."""

    def __init__(self, run_dir: str, boot_id: str) -> None:
        self._boot_id = boot_id
        containers = os.path.join(run_dir, "containers")
        self._left = [os.path.join(containers, name) for name in sorted(os.listdir(containers))]
        self._due = 0.0

    def is_done(self) -> bool:
        """Tell whether nothing is left to be taken over."""
        return not self._left

    def patience_s(self) -> float | None:
        """Return how long until the next attempt, None when there is none."""
        return max(0.0, self._due - time.monotonic()) if self._left else None

    def attempt(self, take: Callable[[Child], None]) -> None:
        """Take over what can be, if it is time. `take` raises OSError when it cannot."""
        if not self._left or time.monotonic() < self._due:
            return
        left, self._left = self._left, []
        for directory in left:
            try:
                child = adopt(directory, self._boot_id)
                if child is not None:
                    take(child)
            except OSError as error:
                self._left.append(directory)
                if not self._due:  # once is enough
                    print(f"cannot take over {directory}: {error}", file=sys.stderr)  # noqa: T201
        self._due = time.monotonic() + _RETRY_S
