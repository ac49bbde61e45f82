"""`reconciler pause`: freezes containers, and keeps them so until `resume`."""

from __future__ import annotations

import argparse

from reconciler.cli.instance import make_engine
from reconciler.cli.names import load_container
from reconciler.cli.output import emit, emit_data

EXAMPLES = """\
  reconciler pause web
  reconciler pause web db"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="containers")


def run(args: argparse.Namespace) -> int:
    """Freeze each. Raises: NameNotFound, ContainerNotRunning, NoSpace, SystemError."""
    from reconciler.control import by_hand
    from reconciler.linux.clock import wall_s

    engine = make_engine(args)
    for container in [load_container(engine, name) for name in args.names]:
        by_hand.pause(container, wall_s())
        by_hand.note(engine.state_dir, "pause", container.id, "paused by hand")
        if args.output == "table":
            emit(f"paused {container.id}, until `reconciler resume {container.id}`")
    if args.output != "table":
        emit_data({"items": [{"name": name, "paused": True} for name in args.names]}, args.output)
    return 0
