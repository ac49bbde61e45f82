"""`reconciler resume`: lets containers run on that were paused by hand."""

from __future__ import annotations

import argparse

from reconciler.cli.by_hand import add_names, run_on_each

EXAMPLES = """\
  reconciler resume web
  reconciler resume web db"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names."""
    add_names(parser)


def run(args: argparse.Namespace) -> int:
    """Thaw each. Raises: NameNotFound, ContainerNotRunning, NoSpace, SystemError."""
    from reconciler.control import by_hand

    return run_on_each(
        args,
        "resume",
        by_hand.resume,
        event="resumed by hand",
        line=_line,
        item=lambda is_done: {"paused": not is_done},
    )


def _line(name: str, is_done: bool) -> str:
    kept = f"{name} stays paused: its spec has `state: paused`"
    return f"resumed {name}" if is_done else kept
