"""`reconciler suspend`: has nothing done to containers until told otherwise."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.cli.arguments import duration_s
from reconciler.cli.by_hand import add_names, run_on_each

if TYPE_CHECKING:
    from reconciler.engine.container import Container

EXAMPLES = """\
  reconciler suspend web --reason "under repair"
  reconciler suspend web db --for 2h

It goes on as it is: no restart, no update, no prune. `reconciler unsuspend` ends it. The field
`suspend` of a spec file does the same."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names, why, and for how long."""
    add_names(parser)
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
    item = {"suspended": True, "reason": how.reason, "until": until and format_time(until)}

    def suspend(container: Container) -> bool:
        by_hand.suspend(container, how)
        return True

    return run_on_each(
        args,
        "suspend",
        suspend,
        event=f"suspended: {how.describe()}",
        line=lambda name, _: f"suspended {name}: {how.describe()}",
        item=lambda _: item,
    )
