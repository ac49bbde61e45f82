"""`reconciler version`."""

from __future__ import annotations

import argparse

from reconciler import __version__

EXAMPLES = """\
  reconciler version
  reconciler version --output json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: it has no arguments of its own."""


def run(args: argparse.Namespace) -> int:
    """Print the version."""
    if args.output == "json":
        print(f'{{"version": "{__version__}"}}')
    else:
        print(f"reconciler {__version__}")
    return 0
