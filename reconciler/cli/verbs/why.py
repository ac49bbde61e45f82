"""`reconciler why`: all that matters of one name on one screen, and what happens next."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from reconciler.cli.arguments import add_sources
from reconciler.cli.instance import configure_logs, make_engine
from reconciler.cli.look import all_sources, explain_mask
from reconciler.cli.output import emit_data

if TYPE_CHECKING:
    from reconciler.control.reconcile import Reconciler
    from reconciler.control.report import PassReport
    from reconciler.engine.engine import Engine

EXAMPLES = """\
  reconciler why web
  reconciler why web ./conf        # with a source that nothing was made from yet
  reconciler why web --output json

For containers that are, that could not be made, and names that are only in a file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name, and sources to look at too."""
    parser.add_argument("name", metavar="NAME", help="the container")
    add_sources(parser)


def run(args: argparse.Namespace) -> int:
    """Tell it. Raises: NameNotFound; ReconcilerError when containers cannot be listed."""
    from reconciler.cli.why_facts import collect_facts
    from reconciler.cli.why_view import show_facts

    configure_logs(args, is_told_on_stdout=True)
    engine = make_engine(args)
    report, drift = _reconciler(engine, args.sources).drift()
    facts = collect_facts(engine, report, args.name, drift.get(args.name, ()))
    if facts is None:
        raise _not_found(engine, report, args)
    if args.output != "table":
        emit_data(facts, args.output)
    else:
        show_facts(facts, report.world.now)
    return 0


def _reconciler(engine: Engine, sources: list[str]) -> Reconciler:
    from reconciler.control.reconcile import Reconciler

    return Reconciler(engine, sources) if sources else all_sources(engine)


def _not_found(engine: Engine, report: PassReport, args: argparse.Namespace) -> Exception:
    from difflib import get_close_matches

    from reconciler.errors import ErrorCode, ReconcilerError

    name = args.name
    known: set[Any] = {*report.desired.specs, *report.world.containers, *report.world.failures}
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "neither a container nor a file has that name"
    hint = explain_mask(engine, name, args.sources) or hint
    sources = ", ".join(source.path for source in report.desired.sources) or "no source"
    return ReconcilerError(
        ErrorCode.NameNotFound,
        f"cannot find container {name}: {hint}; files looked at: {sources}",
        container=name,
    )
