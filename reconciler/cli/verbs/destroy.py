"""`reconciler destroy`: stops containers gracefully and removes them, their logs and layers."""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import TYPE_CHECKING

from reconciler.cli.arguments import Parser, add_lock_timeout
from reconciler.cli.failure import hint
from reconciler.cli.instance import configure_logs, make_engine, make_progress
from reconciler.cli.names import name_not_found, noted_specs
from reconciler.cli.output import GREEN, RED, emit, emit_data, styled

if TYPE_CHECKING:
    from reconciler.control.progress import Progress
    from reconciler.engine.engine import Engine
    from reconciler.errors import ReconcilerError
    from reconciler.model.spec import Spec

    Result = tuple[ReconcilerError | None, Spec | None]

EXAMPLES = """\
  reconciler destroy web
  reconciler destroy web db
  reconciler destroy --all        # every container of this instance; asks nothing

What depends on others goes before them. A container whose file still is in a source is made again
by the next apply or watch."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names, or all."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="containers to destroy")
    parser.add_argument("--all", action="store_true", help="destroy all of this instance")
    add_lock_timeout(parser)


def run(args: argparse.Namespace) -> int:
    """Destroy what is named; 1 if one of them could not be. Raises: Usage, LockTimeout."""
    if bool(args.names) == args.all:
        Parser(prog="reconciler destroy").error("give names, or --all and no names")
    configure_logs(args, is_told_on_stdout=True)
    engine = make_engine(args)
    with engine.lock(args.timeout):
        names = engine.store.ids() if args.all else list(dict.fromkeys(args.names))
        with make_progress(args) as progress:
            progress.expect(len(names))
            results = _destroy(engine, names, progress)
        if args.all and not engine.ids():
            engine.retire()
    if args.output != "table":
        emit_data(
            {"items": [_to_json(name, error) for name, (error, _) in results.items()]}, args.output
        )
    else:
        _show(results)
    return 1 if any(error for error, _ in results.values()) else 0


def _destroy(engine: Engine, names: list[str], progress: Progress) -> dict[str, Result]:
    """Destroy dependents first, else side by side; return the failure and last spec of each."""
    from reconciler.control.execute import STOP_THREADS
    from reconciler.control.threads import run_tasks
    from reconciler.planning.order import graph_of, group_waves, stop_waves

    results: dict[str, Result] = {}

    def destroy(name: str) -> None:
        results[name] = _destroy_one(engine, name, progress)

    waves = stop_waves(graph_of(noted_specs(engine))) if len(names) > 1 else {}
    for together in group_waves(names, waves):
        run_tasks([partial(destroy, name) for name in together], STOP_THREADS)
    return {name: results[name] for name in names}


def _destroy_one(engine: Engine, name: str, progress: Progress) -> Result:
    from reconciler.control.execute import run_action
    from reconciler.control.notes import decode_spec
    from reconciler.errors import ErrorCode, ReconcilerError
    from reconciler.model.action import Destroy
    from reconciler.model.spec import Origin, Spec

    try:
        record = engine.load(name).record
    except ReconcilerError as error:
        if error.code is ErrorCode.RecordCorrupt:
            return _destroy_damaged(engine, name), None
        known = error.code is not ErrorCode.ContainerNotExists
        return (error if known else name_not_found(engine, name)), None
    noted = decode_spec(name, record.annotations, record.config)
    spec = noted or Spec(name=name, config=record.config, origin=Origin(file=""), digest="")
    action = Destroy(name=name, spec=spec, reason="the user wants it")
    progress.begin(action)
    outcome = run_action(engine, action)
    progress.end(action)
    return outcome.error, noted


def _destroy_damaged(engine: Engine, name: str) -> ReconcilerError | None:
    from reconciler.errors import ReconcilerError

    try:
        engine.handle(name).destroy()
    except ReconcilerError as error:
        return error
    return None


def _to_json(name: str, error: ReconcilerError | None) -> dict[str, object]:
    return {"name": name, "destroyed": error is None, "error": error.to_json() if error else None}


def _show(results: dict[str, Result]) -> None:
    for name, (error, spec) in results.items():
        if error is not None:
            emit(styled(f"! {error}", RED) + hint(error))
            continue
        note = ""
        if spec is not None and os.path.exists(spec.origin.file):
            note = f": {spec.origin.file} is still there, the next apply makes it again"
        emit(styled(f"destroyed {name}", GREEN) + note)
    if not results:
        emit("no containers")
