"""What `pause`, `resume`, `suspend` and `unsuspend` have in common: one thing done to each name.

Called by these verbs. Afterwards the daemon, if there is one, looks at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reconciler.cli.instance import make_engine
from reconciler.cli.names import load_container
from reconciler.cli.output import emit, emit_data

if TYPE_CHECKING:
    from reconciler.engine.container import Container


def add_names(parser: argparse.ArgumentParser) -> None:
    """Add the names."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="containers")


def run_on_each(
    args: argparse.Namespace,
    verb: str,
    act: Callable[[Container], bool],
    *,
    event: str,
    line: Callable[[str, bool], str],
    item: Callable[[bool], dict[str, Any]],
) -> int:
    """Do it to each container that is named, if all are there, and return the exit code.

    `act` tells whether it has done anything; then `event` goes to the journal. With the name
    and that answer `line` gives what to print, `item` the fields for JSON and YAML.

    Raises: NameNotFound; what `act` raises.
    """
    from reconciler.control import by_hand
    from reconciler.control.wake import wake_daemons

    engine = make_engine(args)
    containers = [load_container(engine, name) for name in dict.fromkeys(args.names)]
    items = []
    try:
        for container in containers:
            is_done = act(container)
            if is_done:
                by_hand.note(engine.state_dir, verb, container.id, event)
            items.append({"name": container.id, **item(is_done)})
            if args.output == "table":
                emit(line(container.id, is_done))
    finally:
        wake_daemons(engine.run_dir)
    if args.output != "table":
        emit_data({"items": items}, args.output)
    return 0
