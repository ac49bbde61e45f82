"""What is not as the specs say, by container: all that a plan acts on, and what it only reports.

Called by the pass for `reconciler drift`; pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.control.report import PassReport
from reconciler.model.action import ChangeClass, Destroy, FieldChange, WaitKind
from reconciler.model.world import Value
from reconciler.planning.diff import find_drift
from reconciler.planning.prune import is_owned

Drift = dict[str, tuple[FieldChange, ...]]


def find_all_drift(report: PassReport, limits: Mapping[str, Mapping[str, Value]]) -> Drift:
    """Return the differing fields by name; `limits` are the desired ones as the kernel shows them.

    A container that is to be started, made or removed differs in its `state` at least. What is
    suspended or waits for a backoff is as much drift as anything else.
    """
    desired, world = report.desired, report.world
    found: Drift = {}
    for name, spec in desired.specs.items():
        observed = world.containers.get(name)
        if observed is not None and is_owned(observed, desired):
            found[name] = find_drift(spec, observed, limits.get(name, {}))
    for name, state in _to_be_changed(report):
        if not any(change.field == "state" for change in found.get(name, ())):
            found[name] = (*found.get(name, ()), state)
    return {name: found[name] for name in sorted(found) if found[name]}


def _to_be_changed(report: PassReport) -> list[tuple[str, FieldChange]]:
    """Return the difference in `state` of what does not exist, does not run or is to go."""
    names = {action.name: action for action in report.plan.actions}
    due = names.keys() | {one.name for one in report.plan.waits if one.kind is WaitKind.BACKOFF}
    changes = []
    for name in due | report.plan.suspended.keys():
        observed, spec = report.world.containers.get(name), report.desired.specs.get(name)
        if observed is not None and observed.status.has_processes():
            if not isinstance(names.get(name), Destroy):
                continue
            change = _state(None, observed.status.value, ChangeClass.RECREATE)
        elif spec is None or (name not in due and observed is not None):
            continue
        elif observed is None:
            change = _state(spec.state.value, None, ChangeClass.RECREATE)
        elif names.get(name) is not None and names[name].verb == "update":
            continue
        else:
            change = _state(spec.state.value, observed.status.value, ChangeClass.RESTART)
        changes.append((name, change))
    return changes


def _state(desired: Value, observed: Value, change_class: ChangeClass) -> FieldChange:
    return FieldChange(field="state", desired=desired, observed=observed, change_class=change_class)
