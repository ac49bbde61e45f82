"""The conditions Enforced and Drifted, and what status tells of what no file names. Pure.

Called by status; each function returns (status, reason, message).
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.cgroup.canonical import Unsupported
from reconciler.control.enforcement import describe
from reconciler.errors import ErrorCode
from reconciler.model.action import FieldChange, Wait
from reconciler.model.moment import format_time
from reconciler.model.world import Failure, Observed
from reconciler.planning.process import STRANGERS

Told = tuple[str, str, str]

ORPHANED = (
    "no file names it, and prune.mode is orphan: it is left as it is; its file, put back, takes "
    "it into care again, and `reconciler destroy` removes it"
)

_NOT_ENFORCEABLE = frozenset({ErrorCode.LimitNotSupported, ErrorCode.NotSupported})


def enforced(
    observed: Observed | None, unenforced: Sequence[Unsupported], failure: Failure | None
) -> Told:
    """Tell whether all limits and filters of the spec are in force."""
    if failure is not None and failure.problem.code in _NOT_ENFORCEABLE:
        return "False", failure.problem.name, failure.problem.message
    if unenforced:
        return "False", "Unenforced", "; ".join(f"without {describe(one)}" for one in unenforced)
    if observed is None or not observed.status.has_processes():
        return "Unknown", "NotRunning", ""
    return "True", "Enforced", ""


def drifted(reported: Sequence[FieldChange]) -> Told:
    """Tell of differences that are only reported."""
    if not reported:
        return "False", "NoDrift", ""
    return "True", "Reported", "; ".join(map(_describe, reported))


def frozen(wait: Wait) -> Told:
    """Tell what becomes of what is kept frozen, as its Progressing condition."""
    until = "" if wait.until is None else f" at {format_time(wait.until)}"
    return "False", "Frozen", f"{wait.reason}{until}, unless its file comes back"


def _describe(change: FieldChange) -> str:
    if change.field == STRANGERS:
        names = ", ".join(map(str, change.observed)) if isinstance(change.observed, tuple) else ""
        return f"foreign processes in its cgroup: {names} (killed when it stops; move them out)"
    return f"{change.describe()} (only reported)"
