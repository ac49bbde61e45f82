"""`reconciler version`."""

from __future__ import annotations

import argparse

from reconciler import __version__
from reconciler.cli.output import emit

EXAMPLES = """\
  reconciler version
  reconciler version --output json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: it has no arguments of its own."""


def run(args: argparse.Namespace) -> int:
    """Print the version."""
    if args.output == "json":
        emit(f'{{"version": "{__version__}"}}')
    elif args.output == "yaml":
        emit(f"version: {__version__}")
    else:
        emit(f"reconciler {__version__}")
    return 0
