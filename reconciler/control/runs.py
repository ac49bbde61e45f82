"""Notes which runs of its dependencies a container was started with.

Called by execute: planning compares them with the runs that are. A run is told by when it
started, to be the same or another; which of two was earlier does not matter, so that a clock that
is set back does no harm.
"""

from __future__ import annotations

from reconciler.control.notes import decode_runs, encode_runs
from reconciler.control.ports import ContainerPort, EnginePort
from reconciler.errors import ReconcilerError
from reconciler.model.spec import Spec

Runs = dict[str, float | None]


def runs_of(engine: EnginePort, spec: Spec) -> Runs:
    """Return when each container that the spec restarts with was started; None: it was not."""
    return {one.name: _run_of(engine, one.name) for one in spec.depends_on if one.restart}


def note_runs(engine: EnginePort, container: ContainerPort, spec: Spec, *, is_start: bool) -> None:
    """Note the present runs: all of them at a start, else those of new dependencies alone.

    Raises: ContainerDestroyed, NoSpace, SystemError.
    """
    runs, annotations = runs_of(engine, spec), container.record.annotations
    if not is_start:
        known = decode_runs(annotations)
        runs = {name: known.get(name, run) for name, run in runs.items()}
    notes = encode_runs(runs)
    if any(annotations.get(key) != note for key, note in notes.items()):
        container.annotate(notes)


def _run_of(engine: EnginePort, name: str) -> float | None:
    try:
        return engine.load(name).record.started_at
    except ReconcilerError:  # it does not exist, or has to be made anew: a new run in any case
        return None
