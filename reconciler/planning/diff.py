"""What differs between a spec and a container, field by field.

Drift that cannot be printed is no drift.

Called by the planner. Two comparisons decide whether there is anything to look for at all,
so that an unchanged container costs a few microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter

from reconciler.model.action import ChangeClass, FieldChange
from reconciler.model.frozen import replace
from reconciler.model.spec import DesiredState, Spec
from reconciler.model.state import Status
from reconciler.model.value import Value
from reconciler.model.world import Observed
from reconciler.planning.by_hand import wanted_state
from reconciler.planning.fields import FIELDS, Field, ObservedBy
from reconciler.planning.process import process_drift
from reconciler.planning.references import class_of_variable, reference_changes

# Everything of a Spec that the table speaks of; not its name, its place in the file, its digest.
_COMPARED = attrgetter(
    "config",
    "kind",
    "labels",
    "state",
    "restart",
    "deadline_ns",
    "suspend",
    "stop",
    "origin.file",
    "prune",
    "drift",
    "enforcement",
    "depends_on",
    "references",
    "probes",
)

_STATE_BY_STATUS = {
    Status.RUNNING: DesiredState.RUNNING,
    Status.PAUSING: DesiredState.PAUSED,
    Status.PAUSED: DesiredState.PAUSED,
}


def diff(
    spec: Spec, observed: Observed, desired_limits: Mapping[str, Value]
) -> tuple[FieldChange, ...]:
    """Return the fields in which a container that the reconciler made is not as its spec says.

    Each has the policy of what becomes of it; a plan acts on those that are to be enforced.

    `desired_limits` are the canonical values (by field path) that the kernel would show for
    the spec's resources; a field that only one side has is compared by the record instead.
    A container without processes shows nothing in the kernel: all is compared by the record.
    """
    recorded = observed.spec
    if recorded is None:
        raise ValueError(f"internal error: {observed.name} is not the reconciler's own")
    shown = _shown_by_kernel(spec, observed, desired_limits)
    is_as_shown = all(one == other for one, other in shown.values())
    of_process = tuple(process_drift(spec, observed))
    if is_as_shown and _COMPARED(spec) == _COMPARED(recorded):
        return of_process
    return (*_changes(spec, recorded, shown, observed), *of_process)


_Shown = dict[str, tuple[Value, Value]]


def _shown_by_kernel(spec: Spec, observed: Observed, desired_limits: Mapping[str, Value]) -> _Shown:
    """Return (desired, observed) by path for the fields that the kernel shows."""
    state = _STATE_BY_STATUS.get(observed.status)
    if state is None:
        return {}
    shown: _Shown = {
        path: (desired_limits[path], value)
        for path, value in observed.limits.items()
        if path in desired_limits
    }
    shown["state"] = (wanted_state(spec, observed).value, state.value)
    return shown


def _changes(
    spec: Spec, recorded: Spec, shown: _Shown, observed: Observed
) -> Iterator[FieldChange]:
    is_alive = observed.status.has_processes()
    for row in FIELDS:
        if row.path in shown and shown[row.path][0] != shown[row.path][1]:
            one, other = map(row.spell_or_none, shown[row.path])
            change = _change(row.path, one, other, row.change_class)
            is_edit = row.get(spec) != row.get(recorded) or _is_frozen_by_us(row, observed)
            yield change if is_edit else replace(change, policy=spec.drift.policy_of(row.path))
            continue
        if row.path == "references":
            yield from reference_changes(spec, observed)
            continue
        change_class = _class_by_record(row, shown, is_alive)
        for path, one, other in row.values(spec, recorded):
            if one != other:
                own = class_of_variable(path, spec, observed) if row.path == "env" else None
                yield _change(path, one, other, own or change_class)


def _is_frozen_by_us(row: Field, observed: Observed) -> bool:
    """Tell whether it is paused as its file was gone: nobody did that behind our back."""
    return row.path == "state" and observed.frozen_at is not None


def _class_by_record(row: Field, shown: _Shown, is_alive: bool) -> ChangeClass:
    """Return what a field needs that differs from the record alone.

    Where the kernel shows the desired value already, or there is nothing to apply it to, the
    record is all there is to rewrite.
    """
    if row.observed_by is ObservedBy.KERNEL and (row.path in shown or not is_alive):
        return ChangeClass.RECORD
    return row.change_class


def _change(path: str, desired: Value, observed: Value, change_class: ChangeClass) -> FieldChange:
    return FieldChange(field=path, desired=desired, observed=observed, change_class=change_class)
