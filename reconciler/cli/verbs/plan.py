"""`reconciler plan`: what `apply` would do; it takes no lock and changes nothing."""

from __future__ import annotations

import argparse

from reconciler.cli.arguments import add_plan_options, add_sources
from reconciler.cli.instance import configure_logs, make_reconciler
from reconciler.cli.output import emit
from reconciler.cli.plan_view import show_plan

EXAMPLES = """\
  reconciler plan
  reconciler plan ./conf --detailed-exitcode   # exits 2 when something is to be done
  reconciler plan ./conf --out FILE            # for reconciler apply --plan FILE
  reconciler plan --output json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sources and what a plan may do."""
    add_sources(parser)
    add_plan_options(parser)
    parser.add_argument(
        "--detailed-exitcode", action="store_true", help="exit 2 when changes are pending"
    )
    parser.add_argument("--out", metavar="FILE", help="keep the plan, to be applied as it is")


def run(args: argparse.Namespace) -> int:
    """Print the plan. Raises: ReconcilerError when containers cannot be listed; as write_plan."""
    configure_logs(args, is_told_on_stdout=True)
    report = make_reconciler(args).plan()
    if args.out is not None:
        from reconciler.cli.planned import save

        save(args, report)
    code = show_plan(report, args.output, is_detailed=args.detailed_exitcode)
    if args.out is not None and args.output == "table":
        emit(f"kept in {args.out}; to carry it out: reconciler apply --plan {args.out}")
    return code
