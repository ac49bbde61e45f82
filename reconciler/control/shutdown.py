"""Stops all containers as their specs say, dependents first: for a host that shuts down.

Called by the unit NAME-shutdown.service as it is stopped, after the daemon and before the scope
that containers live in. Nothing is removed: what runs is what the next boot starts. Stops of what
is not connected wait side by side, so it lasts as long as the longest chain of graces.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

from reconciler.control import logs
from reconciler.control.execute import execute_plan
from reconciler.control.notes import decode_spec
from reconciler.control.outcome import Outcome
from reconciler.control.ports import EnginePort
from reconciler.engine.engine import Engine
from reconciler.errors import ReconcilerError
from reconciler.linux.journal import is_journal
from reconciler.model.action import Plan, StopAction
from reconciler.model.spec import Spec
from reconciler.planning.order import connected, graph_of, stop_waves

_LOCK_S = 10.0  # then who has it is about to be ended too


def stop_all(engine: EnginePort) -> tuple[Outcome, ...]:
    """Stop what runs of the reconciler's and return what became of it. Raises: as listing."""
    specs = _running_specs(engine)
    graph = graph_of(specs)
    waves = stop_waves(graph)
    actions = [
        StopAction(name=spec.name, spec=spec, reason="the host shuts down", wave=waves[spec.name])
        for spec in specs
    ]
    plan = Plan(actions=tuple(sorted(actions, key=StopAction.turn)))
    return execute_plan(engine, plan, groups=connected(graph))


def _running_specs(engine: EnginePort) -> list[Spec]:
    """Return the specs of what runs; what has none that can be read is for systemd to end."""
    found: list[Spec] = []
    for name in engine.store.ids():
        try:
            container = engine.load(name)
            if container.status().has_processes():
                record = container.record
                spec = decode_spec(name, record.annotations, record.config)
                found += [] if spec is None else [spec]
        except ReconcilerError as error:
            logs.log_failure(error)
    return found


def main() -> None:
    """Stop what is in RUN_DIR, and exit with 1 where that failed for any."""
    logs.configure(sys.stderr, form="journal" if is_journal(sys.stderr.fileno()) else "text")
    run_dir, state_dir = sys.argv[1:3]
    engine = Engine(run_dir=run_dir, state_dir=state_dir)
    if not os.path.isdir(engine.store.containers_dir):
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(engine.lock(_LOCK_S))
        except ReconcilerError as error:
            logs.log_failure(error)
        outcomes = stop_all(engine)
    sys.exit(any(one.error is not None for one in outcomes))


if __name__ == "__main__":
    main()
