"""What a pass found and did, and what that means for the exit code."""

from __future__ import annotations

from reconciler.control.enforcement import Unenforced
from reconciler.control.outcome import Outcome
from reconciler.control.transitions import Transitions
from reconciler.errors import ErrorCode
from reconciler.model.action import Action, Plan, Wait, WaitKind
from reconciler.model.frozen import field, frozen, replace
from reconciler.model.world import Desired, Observed, World

DONE, FAILED, CHANGES_PENDING, INVALID, REFUSED = 0, 1, 2, 3, 4

_INVALID_CODES = frozenset(
    {
        ErrorCode.InvalidIdFormat,
        ErrorCode.SpecUnreadable,
        ErrorCode.SpecSyntax,
        ErrorCode.SpecSchema,
        ErrorCode.SpecValue,
        ErrorCode.SpecDuplicateName,
        ErrorCode.SpecTooLarge,
        ErrorCode.SpecCycle,
    }
)
_REFUSED_CODES = frozenset({ErrorCode.PruneRefused, ErrorCode.SourceEmpty, ErrorCode.NotOwned})


@frozen
class PassReport:
    """One pass, or all passes of a convergence.

    `plan` is the last plan that was made; with nothing executed it is what is to be done, after
    a convergence what is left. `outcomes` are of all passes, in order. `world` is what was
    observed last, after the outcomes. `transitions`: since when conditions are as they are.
    `unenforced` are preferred fields that this host cannot enforce. `begun` are actions that go
    on after the pass; `held_up` are containers on which some do, and those connected with them.
    """

    desired: Desired
    world: World
    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    transitions: Transitions = field(default_factory=dict)
    unenforced: Unenforced = field(default_factory=dict)
    begun: tuple[Action, ...] = ()
    held_up: frozenset[str] = frozenset()

    def is_as(self, other: PassReport) -> bool:
        """Tell whether it shows the same as another one, at whatever time."""
        return (
            self.desired == other.desired
            and replace(self.world, now=other.world.now, boot_s=other.world.boot_s) == other.world
            and self.plan == other.plan
            and self.transitions == other.transitions
            and self.unenforced == other.unenforced
        )

    def to_do(self) -> tuple[Action, ...]:
        """Return the actions of the plan that nothing under way holds up."""
        return tuple(action for action in self.plan.actions if action.name not in self.held_up)

    def exit_code(self, *, detailed: bool = False) -> int:
        """Return the exit code of the design; `detailed`: pending changes are 2.

        The worst wins: failed 1, invalid specs 3, refused 4, changes pending 2.
        """
        codes = {problem.code for problem in self.plan.problems}
        if self.failed() or codes - _INVALID_CODES - _REFUSED_CODES:
            return FAILED
        if codes & _INVALID_CODES:
            return INVALID
        if codes & _REFUSED_CODES:
            return REFUSED
        return CHANGES_PENDING if detailed and self.plan.actions else DONE

    def failed(self) -> frozenset[str]:
        """Return the containers that an action failed for and has not succeeded since."""
        concerned = {outcome.action.name for outcome in self.outcomes}
        concerned |= {wait.name for wait in self.plan.waits if wait.kind is WaitKind.BACKOFF}
        return frozenset(concerned & self.world.failures.keys())

    def probed(self) -> list[Observed]:
        """Return the containers whose probes are to be checked: all that nobody has suspended."""
        held = self.plan.suspended
        return [one for name, one in self.world.containers.items() if name not in held]

    def next_due(self) -> float | None:
        """Return when the first wait is over (wall-clock seconds), None when nothing waits."""
        dues = (wait.until for wait in self.plan.waits)
        return min((due for due in dues if due is not None), default=None)

    def due_by(self, time: float) -> frozenset[str]:
        """Return the containers whose wait is over by then (wall-clock seconds)."""
        waits = self.plan.waits
        return frozenset(one.name for one in waits if one.until is not None and one.until <= time)

    def unmet(self) -> tuple[Wait, ...]:
        """Return the waits of what cannot be started for want of what it depends on."""
        return tuple(wait for wait in self.plan.waits if wait.kind is WaitKind.DEPENDENCY)

    def is_awaiting(self) -> bool:
        """Tell whether something waits for others that may come without anybody's help."""
        return any(wait.can_come for wait in self.unmet())
