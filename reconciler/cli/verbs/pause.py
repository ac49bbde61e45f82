"""`reconciler pause`: freezes containers, and keeps them so until `resume`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.cli.by_hand import add_names, run_on_each

if TYPE_CHECKING:
    from reconciler.engine.container import Container

EXAMPLES = """\
  reconciler pause web
  reconciler pause web db"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names."""
    add_names(parser)


def run(args: argparse.Namespace) -> int:
    """Freeze each. Raises: NameNotFound, ContainerNotRunning, NoSpace, SystemError."""
    from reconciler.control import by_hand
    from reconciler.linux.clock import wall_s

    def pause(container: Container) -> bool:
        by_hand.pause(container, wall_s())
        return True

    return run_on_each(
        args,
        "pause",
        pause,
        event="paused by hand",
        line=lambda name, _: f"paused {name}, until `reconciler resume {name}`",
        item=lambda _: {"paused": True},
    )
