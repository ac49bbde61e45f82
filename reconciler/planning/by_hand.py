"""What a user has told the reconciler to leave as it is: suspensions and pauses by hand.

Called by the planner and the diff. Neither is ever undone by a pass, and both are shown.
"""

from __future__ import annotations

from reconciler.model.spec import DesiredState, Spec, Suspend
from reconciler.model.world import Observed


def suspension_of(spec: Spec | None, observed: Observed | None, now: float) -> Suspend | None:
    """Return what holds the reconciler off at `now`, by command or else by the spec."""
    by_command = None if observed is None else observed.suspend
    by_spec = None if spec is None else spec.suspend
    for suspend in (by_command, by_spec):
        if suspend is not None and not suspend.is_over(now):
            return suspend
    return None


def wanted_state(spec: Spec, observed: Observed) -> DesiredState:
    """Return the state the spec asks for, but paused for what was paused by hand."""
    if observed.paused_at is not None and spec.state is DesiredState.RUNNING:
        return DesiredState.PAUSED
    return spec.state
