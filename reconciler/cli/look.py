"""All that is and all that is asked for, for the verbs that take names and no sources.

Called by `status`, `wait` and `why`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.cli.instance import default_source

if TYPE_CHECKING:
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
    """Return the reconciler of all sources that containers were made from, and the default one."""
    from reconciler.control.notes import decode_spec
    from reconciler.control.reconcile import Reconciler

    records = [container.record for container in engine.list()]
    specs = (decode_spec(one.id, one.annotations, one.config) for one in records)
    sources = {spec.source for spec in specs if spec is not None}
    if os.path.isdir(default_source()):
        sources.add(os.path.realpath(default_source()))
    return Reconciler(engine, sorted(sources))


def spell_exit(last: ExitStatus | None) -> str:
    """Return `0`, `SIGKILL (oom)`, `unknown`, or nothing for what has not ended."""
    import signal

    if last is None:
        return ""
    if last.signal is not None:
        known = {number.value: number.name for number in signal.Signals}
        return known.get(last.signal, f"signal {last.signal}") + (" (oom)" if last.oom else "")
    return "unknown" if last.code is None else str(last.code)
