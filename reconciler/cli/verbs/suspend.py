"""`reconciler suspend`: has nothing done to containers until told otherwise."""

from __future__ import annotations

import argparse

from reconciler.cli.arguments import duration_s
from reconciler.cli.instance import make_engine
from reconciler.cli.names import load_container
from reconciler.cli.output import emit, emit_data

EXAMPLES = """\
  reconciler suspend web --reason "under repair"
  reconciler suspend web db --for 2h

It goes on as it is: no restart, no update, no prune. `reconciler unsuspend` ends it. The field
`suspend` of a spec file does the same."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names, why, and for how long."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="containers")
    parser.add_argument("--reason", metavar="TEXT", help="why; `status` shows it")
    parser.add_argument(
        "--for", dest="duration", metavar="DURATION", type=duration_s, help="90m, 12h"
    )


def run(args: argparse.Namespace) -> int:
    """Note it in each container. Raises: NameNotFound, NoSpace, SystemError."""
    from reconciler.control import by_hand
    from reconciler.linux.clock import wall_s
    from reconciler.model.moment import format_time
    from reconciler.model.spec import Suspend

    until = None if args.duration is None else wall_s() + args.duration
    how = Suspend(reason=args.reason, until=until)
    engine = make_engine(args)
    for container in [load_container(engine, name) for name in args.names]:
        by_hand.suspend(container, how)
        by_hand.note(engine.state_dir, "suspend", container.id, f"suspended: {how.describe()}")
        if args.output == "table":
            emit(f"suspended {container.id}: {how.describe()}")
    if args.output != "table":
        item = {"suspended": True, "reason": how.reason, "until": until and format_time(until)}
        emit_data({"items": [{"name": name, **item} for name in args.names]}, args.output)
    return 0
