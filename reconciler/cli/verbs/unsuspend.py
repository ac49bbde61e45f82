"""`reconciler unsuspend`: ends what `suspend` began."""

from __future__ import annotations

import argparse

from reconciler.cli.instance import make_engine
from reconciler.cli.names import load_container
from reconciler.cli.output import emit, emit_data

EXAMPLES = """\
  reconciler unsuspend web
  reconciler unsuspend web db"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="containers")


def run(args: argparse.Namespace) -> int:
    """Remove the note from each container. Raises: NameNotFound, NoSpace, SystemError."""
    from reconciler.control import by_hand

    engine = make_engine(args)
    containers = [load_container(engine, name) for name in args.names]
    had = {container.id: by_hand.unsuspend(container) for container in containers}
    for name, was in had.items():
        if was:
            by_hand.note(engine.state_dir, "unsuspend", name, "no more suspended")
    if args.output != "table":
        items = [
            {"name": name, "suspended": False, "wasSuspended": was} for name, was in had.items()
        ]
        emit_data({"items": items}, args.output)
        return 0
    for name, was in had.items():
        none = f"{name} is not suspended by command; its file may have the field suspend"
        emit(f"unsuspended {name}: the next pass looks at it" if was else none)
    return 0
