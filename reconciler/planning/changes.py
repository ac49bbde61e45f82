"""Makers of the differences of a running init. Used by its rules, process.py and isolation.py."""

from __future__ import annotations

from reconciler.model.action import ChangeClass, FieldChange
from reconciler.model.frozen import replace
from reconciler.model.spec import DriftPolicy, Spec
from reconciler.model.value import Value


def make_change(
    spec: Spec,
    path: str,
    desired: Value,
    observed: Value,
    change_class: ChangeClass,
    policy: DriftPolicy | None = None,
) -> FieldChange:
    """Return the difference, with the policy that the spec has for the field or the given one."""
    return FieldChange(
        field=path,
        desired=desired,
        observed=observed,
        change_class=change_class,
        policy=policy or spec.drift.policy_of(path),
    )


def reported(spec: Spec, change: FieldChange) -> FieldChange:
    """Return the difference as one that is never mended, and ignored where the spec says so."""
    is_ignored = spec.drift.policy_of(change.field) is DriftPolicy.IGNORE
    return change if is_ignored else replace(change, policy=DriftPolicy.REPORT)
