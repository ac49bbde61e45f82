"""`reconciler restart`: stops containers as their specs say and starts them again."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from reconciler.cli.arguments import add_lock_timeout
from reconciler.cli.failure import hint
from reconciler.cli.instance import configure_logs, make_engine
from reconciler.cli.names import load_container, noted_specs
from reconciler.cli.output import GREEN, RED, emit, emit_data, styled

if TYPE_CHECKING:
    from reconciler.engine.container import Container
    from reconciler.engine.engine import Engine
    from reconciler.errors import ReconcilerError
    from reconciler.model.spec import Spec, Stop

    Results = dict[str, tuple[ReconcilerError | None, int | None]]

EXAMPLES = """\
  reconciler restart web
  reconciler restart web db --output json

The stop signal and the grace are those of the spec; one that does not run is started. A changed
file is not looked at: `reconciler apply` does that, and restarts what must be. A Job runs again;
what was paused by hand runs on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="containers to restart")
    add_lock_timeout(parser)


def run(args: argparse.Namespace) -> int:
    """Restart what is named; 1 if one of them could not be. Raises: LockTimeout."""
    from reconciler.control.wake import wake_daemons

    configure_logs(args, is_told_on_stdout=True)
    engine = make_engine(args)
    with engine.lock(args.timeout):
        results = _restart(engine, list(dict.fromkeys(args.names)))
    wake_daemons(engine.run_dir)
    if args.output != "table":
        emit_data({"items": [_to_json(name, *one) for name, one in results.items()]}, args.output)
    else:
        for name, (error, pid) in results.items():
            done = styled(f"restarted {name}", GREEN) + f": pid {pid}"
            emit(done if error is None else styled(f"! {error}", RED) + hint(error))
    return 1 if any(error for error, _ in results.values()) else 0


def _restart(engine: Engine, names: list[str]) -> Results:
    """Restart dependencies first, else side by side; return the failure and new pid of each."""
    from reconciler.control.execute import STOP_THREADS
    from reconciler.control.threads import run_tasks
    from reconciler.errors import ReconcilerError
    from reconciler.planning.order import graph_of, group_waves, start_waves

    results: Results = {}

    def restart(name: str) -> None:
        pid = error = None
        try:
            container = load_container(engine, name)
            error = _restart_one(engine, container)
            init = container.refresh().init
            pid = init.pid if init is not None else None
        except ReconcilerError as failure:
            error = failure
        results[name] = error, None if error else pid

    waves = start_waves(graph_of(noted_specs(engine))) if len(names) > 1 else {}
    for together in group_waves(names, waves):
        run_tasks([partial(restart, name) for name in together], STOP_THREADS)
    return {name: results[name] for name in names}


def _restart_one(engine: Engine, container: Container) -> ReconcilerError | None:
    """Restart a container; what the reconciler did not make has no spec and its defaults."""
    from reconciler.control.execute import run_action
    from reconciler.control.notes import decode_memory, decode_paused, decode_spec, encode_paused
    from reconciler.model.action import Restart
    from reconciler.model.frozen import replace
    from reconciler.model.spec import DesiredState, Stop

    notes = container.annotations
    spec = decode_spec(container.id, notes, container.config)
    if spec is None:
        _stop_and_start(container, Stop())
        return None
    if spec.state is DesiredState.STOPPED:
        return _refused(spec)
    if decode_paused(notes) is not None:  # or the next pass would freeze what was just started
        container.annotate(encode_paused(None))
    memory = replace(decode_memory(container.record), failures=0, is_stopped=False)
    reason = "the user wants it"
    action = Restart(name=container.id, spec=spec, reason=reason, memory=memory)
    return run_action(engine, action).error


def _stop_and_start(container: Container, stop: Stop) -> None:
    import signal

    container.stop(signal.Signals[f"SIG{stop.signal}"], stop.grace_ns)
    container.start()


def _refused(spec: Spec) -> ReconcilerError:
    from reconciler.errors import ErrorCode, ReconcilerError

    return ReconcilerError(
        ErrorCode.ContainerNotRunning,
        f"cannot restart {spec.name}: its spec has `state: stopped`; set it to running in "
        f"{spec.origin.file} and apply that",
        container=spec.name,
        operation="restart",
    )


def _to_json(name: str, error: ReconcilerError | None, pid: int | None) -> dict[str, object]:
    failure = error.to_json() if error else None
    return {"name": name, "restarted": error is None, "pid": pid, "error": failure}
