"""`reconciler drift`: what is not as the specs say, field by field; it changes nothing."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.cli.arguments import add_plan_options, add_sources
from reconciler.cli.instance import configure_logs, make_reconciler
from reconciler.cli.output import emit, emit_data, emit_table

if TYPE_CHECKING:
    from reconciler.model.action import FieldChange

EXAMPLES = """\
  reconciler drift
  reconciler drift ./conf --detailed-exitcode   # exits 2 when something differs
  reconciler drift --output json

Class is what a change needs: live, record, restart or recreate. Capabilities, user, seccomp and
noNewPrivileges of a running process that exceed its spec are reported here and by no plan."""

_HEADER = ("NAME", "FIELD", "DESIRED", "OBSERVED", "CLASS")
_CHANGES_PENDING = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sources and what a plan may do."""
    add_sources(parser)
    add_plan_options(parser)
    parser.add_argument(
        "--detailed-exitcode", action="store_true", help="exit 2 when something differs"
    )


def run(args: argparse.Namespace) -> int:
    """Print a row a field. Raises: ReconcilerError when containers cannot be listed."""
    configure_logs(args, is_told_on_stdout=True)
    report, drift = make_reconciler(args).drift()
    if args.output != "table":
        items = [
            {"name": name, **one.to_json()} for name, changes in drift.items() for one in changes
        ]
        problems = [problem.to_json() for problem in report.plan.problems]
        emit_data({"items": items, "problems": problems}, args.output)
    else:
        if drift:
            emit_table(_HEADER, [_row(name, one) for name in drift for one in drift[name]])
        else:
            emit("no drift")
        for problem in report.plan.problems:
            emit(f"! {problem.describe()} ({problem.name} {problem.code})")
    code = report.exit_code()
    return _CHANGES_PENDING if code == 0 and drift and args.detailed_exitcode else code


def _row(name: str, change: FieldChange) -> list[str]:
    from reconciler.model.action import spell_value

    desired, observed = spell_value(change.desired), spell_value(change.observed)
    return [name, change.field, desired, observed, change.change_class.spell()]
