"""`reconciler unsuspend`: ends what `suspend` began."""

from __future__ import annotations

import argparse

from reconciler.cli.by_hand import add_names, run_on_each

EXAMPLES = """\
  reconciler unsuspend web
  reconciler unsuspend web db"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names."""
    add_names(parser)


def run(args: argparse.Namespace) -> int:
    """Remove the note from each container. Raises: NameNotFound, NoSpace, SystemError."""
    from reconciler.control import by_hand

    return run_on_each(
        args,
        "unsuspend",
        by_hand.unsuspend,
        event="no more suspended",
        line=_line,
        item=lambda was: {"suspended": False, "wasSuspended": was},
    )


def _line(name: str, was: bool) -> str:
    none = f"{name} is not suspended by command; its file may have the field suspend"
    return f"unsuspended {name}: the next pass looks at it" if was else none
