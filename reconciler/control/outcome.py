"""What became of one action."""

from __future__ import annotations

from reconciler.errors import ReconcilerError
from reconciler.model.action import Action
from reconciler.model.frozen import frozen


@frozen
class Outcome:
    """One action that was carried out, or failed with `error`; how long that took."""

    action: Action
    error: ReconcilerError | None
    duration_ns: int
