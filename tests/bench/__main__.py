"""Runs the benchmarks, as root, from the project's root: `python -m tests.bench [--short] [NAME]`.

Each prints its figures and ratios with the target beside them. Nothing here fails for being
slow: a machine has its bad moments; a person or a later run compares.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib import import_module
from types import FrameType

from tests.bench.report import print_machine

NAMES = (
    "start",
    "oci",
    "verbs",
    "flight",
    "converge",
    "idle",
    "memory",
    "files",
    "steady",
    "react",
    "quiet",
)


def main() -> int:
    """Run those that are named, or all; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer containers and rounds")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {' '.join(NAMES)}")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark is called {' or '.join(sorted(unknown))}")
    if os.geteuid() != 0:
        print("skipped: the benchmarks need root", file=sys.stderr)
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    print_machine()
    for name in arguments.names or NAMES:
        import_module(f"tests.bench.{name}").measure(short=arguments.short)
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Take SIGTERM for Ctrl-C: everything is cleaned up."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
