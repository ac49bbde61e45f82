"""`reconciler resume`: lets containers run on that were paused by hand."""

from __future__ import annotations

import argparse

from reconciler.cli.instance import make_engine
from reconciler.cli.names import load_container
from reconciler.cli.output import emit, emit_data

EXAMPLES = """\
  reconciler resume web
  reconciler resume web db"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="containers")


def run(args: argparse.Namespace) -> int:
    """Thaw each. Raises: NameNotFound, ContainerNotRunning, NoSpace, SystemError."""
    from reconciler.control import by_hand

    engine = make_engine(args)
    containers = [load_container(engine, name) for name in args.names]
    done = {container.id: by_hand.resume(container) for container in containers}
    for name, is_done in done.items():
        if is_done:
            by_hand.note(engine.state_dir, "resume", name, "resumed by hand")
    if args.output != "table":
        items = [{"name": name, "paused": not is_done} for name, is_done in done.items()]
        emit_data({"items": items}, args.output)
        return 0
    for name, is_done in done.items():
        kept = f"{name} stays paused: its spec has `state: paused`"
        emit(f"resumed {name}" if is_done else kept)
    return 0
