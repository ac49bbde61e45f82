"""`reconciler validate`: reads spec files and tells every problem; touches no container."""

from __future__ import annotations

import argparse

from reconciler.cli.arguments import add_sources
from reconciler.cli.instance import sources_of
from reconciler.cli.output import emit, emit_data, plural
from reconciler.cli.plan_view import show_problems

EXAMPLES = """\
  reconciler validate                     # the default source
  reconciler validate ./conf web.yaml     # a directory and a file
  reconciler validate --output json ./conf"""

_INVALID = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sources."""
    add_sources(parser)


def run(args: argparse.Namespace) -> int:
    """Print each problem as `file:line:column: field: problem`, and a summary."""
    from reconciler.loader.load import validate_paths

    desired = validate_paths(sources_of(args))
    if args.output != "table":
        emit_data(
            {
                "valid": not desired.problems,
                "names": sorted(desired.specs),
                "problems": [problem.to_json() for problem in desired.problems],
            },
            args.output,
        )
    else:
        show_problems(desired.problems, sign="")
        summary = plural(len(desired.specs), "valid spec")
        if desired.problems:
            summary += f", {plural(len(desired.problems), 'problem')}"
        emit(summary)
    return _INVALID if desired.problems else 0
