"""How often a container is acted on in a row before somebody else seems to act on it too.

Called by the pass and the daemon. What acts on other containers is progress, however many passes
it takes: a chain of dependencies may be long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reconciler.model.action import Action


class Patience:
    """Counts the actions on each container; `limit` of them are taken for progress."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def lasts_for(self, actions: Iterable[Action]) -> bool:
        """Count the actions, and tell whether one of them is within its container's limit."""
        names = [action.name for action in actions]
        is_progress = any(self._counts[name] < self._limit for name in names)
        self._counts.update(names)
        return is_progress

    def renew(self) -> None:
        """Begin anew: there was nothing to do."""
        self._counts.clear()
