"""Parts all differences by what becomes of them: mended by a plan, reported, or neither.

Called by make_plan, and by control for `reconciler drift`. The policy is that of the file as it
is now; what the file itself changes is no drift, and is always applied.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.action import FieldChange
from reconciler.model.spec import DriftPolicy, Spec
from reconciler.model.value import Value
from reconciler.model.world import Desired, World
from reconciler.planning.diff import diff
from reconciler.planning.prune import is_owned

Changes = Mapping[str, tuple[FieldChange, ...]]

_NO_LIMITS: Mapping[str, Value] = {}


def find_changes(
    wanted: Mapping[str, Spec],
    desired: Desired,
    world: World,
    limits: Mapping[str, Mapping[str, Value]],
) -> Changes:
    """Return by name what is not as the specs say, of the containers that the sources own.

    `limits` are the desired ones by name, as the kernel would show them.
    """
    found = {}
    for name, spec in wanted.items():
        observed = world.containers.get(name)
        if observed is not None and (observed.source == spec.source or is_owned(observed, desired)):
            changes = diff(spec, observed, limits.get(name, _NO_LIMITS))
            if changes:
                found[name] = changes
    return found


def enforced(changes: tuple[FieldChange, ...]) -> tuple[FieldChange, ...]:
    """Return those that a plan is to mend."""
    return tuple(change for change in changes if change.is_enforced())


def reported(changes: Changes) -> Changes:
    """Return by name those that are only to be shown."""
    shown = {
        name: tuple(one for one in found if one.policy is DriftPolicy.REPORT)
        for name, found in changes.items()
    }
    return {name: found for name, found in shown.items() if found}
