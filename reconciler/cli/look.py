"""All that is and all that is asked for, for the verbs that take names and no sources.

Called by `show`, `status`, `wait` and `why`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.cli.instance import default_source
from reconciler.cli.names import noted_specs

if TYPE_CHECKING:
    from reconciler.control.drift import DriftRow
    from reconciler.control.reconcile import Reconciler
    from reconciler.control.report import PassReport
    from reconciler.engine.engine import Engine
    from reconciler.model.state import ExitStatus


def look_at_all(engine: Engine) -> PassReport:
    """Return the plan for all sources that containers were made from, and the default one.

    Raises: ReconcilerError when the records cannot be listed.
    """
    return all_sources(engine).plan()


def all_sources(engine: Engine) -> Reconciler:
    """Return the reconciler of `known_sources`."""
    from reconciler.control.reconcile import Reconciler

    return Reconciler(engine, known_sources(engine))


def known_sources(engine: Engine) -> list[str]:
    """Return the sources that containers were made from, and the default one if it is there.

    What was given together comes in the order in which it was given.
    """
    from reconciler.control.source_groups import read_groups, sources_of

    default = default_source()
    others = [os.path.realpath(default)] if os.path.isdir(default) else []
    return sources_of(noted_specs(engine), others, read_groups(engine.state_dir))


def explain_mask(engine: Engine, name: str, sources: list[str] | None = None) -> str | None:
    """Return which file masks a name, and how to undo that; None where none does.

    Without sources all are looked at that a pass was ever given together, or that are known.
    """
    from reconciler.control.source_groups import read_groups
    from reconciler.loader.sources import describe_mask, find_mask

    groups = [sources] if sources else [*read_groups(engine.state_dir), known_sources(engine)]
    masks = (find_mask(group, name) for group in groups)
    return next((describe_mask(mask) for mask in masks if mask is not None), None)


def drift_json(name: str, row: DriftRow) -> dict[str, object]:
    """Return `{name, field, desired, observed, class, policy, since}`."""
    from reconciler.model.moment import format_time

    policy = row.change.policy
    return {
        "name": name,
        **row.change.to_json(),
        "policy": None if policy is None else policy.value,
        "since": None if row.since is None else format_time(row.since),
    }


def spell_exit(last: ExitStatus | None) -> str:
    """Return `0`, `SIGKILL (oom)`, `unknown`, or nothing for what has not ended."""
    import signal

    if last is None:
        return ""
    if last.signal is not None:
        known = {number.value: number.name for number in signal.Signals}
        return known.get(last.signal, f"signal {last.signal}") + (" (oom)" if last.oom else "")
    return "unknown" if last.code is None else str(last.code)
