"""What is not as the specs say, by container: all that a plan acts on, and what it only reports.

Called by the pass for `reconciler drift`; pure but for the look at when a file was changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from reconciler.control.report import PassReport
from reconciler.model.action import ChangeClass, Destroy, FieldChange, Freeze, Update, WaitKind
from reconciler.model.frozen import frozen
from reconciler.model.spec import DriftPolicy
from reconciler.model.value import Value
from reconciler.planning.drift import find_changes


@frozen
class DriftRow:
    """One differing field, and since when it differs (wall-clock seconds), where that is known."""

    change: FieldChange
    since: float | None

    def is_ignored(self) -> bool:
        """Tell whether it is neither mended nor told, unless asked for."""
        return self.change.policy is DriftPolicy.IGNORE


Drift = dict[str, tuple[DriftRow, ...]]

_NOT_YET_STARTED = (WaitKind.BACKOFF, WaitKind.DEPENDENCY)


def find_all_drift(report: PassReport, limits: Mapping[str, Mapping[str, Value]]) -> Drift:
    """Return the differing fields by name; `limits` are the desired ones as the kernel shows them.

    What is ignored is among them. A container that is to be started, made or removed differs in
    its `state` at least. What is suspended or waits is as much drift as all else.
    """
    desired, world = report.desired, report.world
    found = dict(find_changes(desired.specs, desired, world, limits))
    for name, state in _to_be_changed(report):
        if not any(change.field == "state" for change in found.get(name, ())):
            found[name] = (*found.get(name, ()), state)
    return {
        name: tuple(DriftRow(change=one, since=_since(report, name, one)) for one in found[name])
        for name in sorted(found)
    }


def _since(report: PassReport, name: str, change: FieldChange) -> float | None:
    """Return when it ended, its file was edited, or a pass first saw it differ.

    The kernel dates nothing of the rest: who wrote to a cgroup or to /proc left no trace.
    """
    observed, spec = report.world.containers.get(name), report.desired.specs.get(name)
    if change.field == "state" and observed is not None and not observed.status.has_processes():
        return None if observed.last_exit is None else observed.last_exit.at
    if change.policy is DriftPolicy.REPORT:
        status, at = report.transitions.get(name, {}).get("Drifted", ("", None))
        return at if status == "True" else None
    if change.policy is None and observed is not None and spec is not None:
        return _edited_at(spec.origin.file)
    return None


def _edited_at(file: str) -> float | None:
    try:
        return os.stat(file).st_mtime
    except OSError:  # it has gone meanwhile
        return None


def _to_be_changed(report: PassReport) -> list[tuple[str, FieldChange]]:
    """Return the difference in `state` of what does not exist, does not run or is to go."""
    names = {action.name: action for action in report.plan.actions}
    due = names.keys() | {one.name for one in report.plan.waits if one.kind in _NOT_YET_STARTED}
    changes = []
    for name in due | report.plan.suspended.keys():
        observed, spec = report.world.containers.get(name), report.desired.specs.get(name)
        if observed is not None and observed.status.has_processes():
            action = names.get(name)
            if isinstance(action, Freeze):
                change = _state("paused", observed.status.value, ChangeClass.LIVE)
            elif isinstance(action, Destroy):
                change = _state(None, observed.status.value, ChangeClass.RECREATE)
            else:
                continue
        elif spec is None or (name not in due and observed is not None):
            continue
        elif observed is None:
            change = _state(spec.state.value, None, ChangeClass.RECREATE)
        elif isinstance(names.get(name), Update):
            continue
        else:
            change = _state(spec.state.value, observed.status.value, ChangeClass.RESTART)
        changes.append((name, change))
    return changes


def _state(desired: Value, observed: Value, change_class: ChangeClass) -> FieldChange:
    return FieldChange(field="state", desired=desired, observed=observed, change_class=change_class)
