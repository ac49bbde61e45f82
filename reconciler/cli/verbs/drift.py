"""`reconciler drift`: what is not as the specs say, field by field; it changes nothing."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.cli.arguments import add_plan_options, add_sources
from reconciler.cli.instance import configure_logs, make_reconciler
from reconciler.cli.look import drift_json
from reconciler.cli.output import emit, emit_data, emit_table, format_age
from reconciler.cli.plan_view import show_problems

if TYPE_CHECKING:
    from reconciler.control.drift import DriftRow

EXAMPLES = """\
  reconciler drift
  reconciler drift ./conf --detailed-exitcode   # exits 2 when something differs
  reconciler drift --show-ignored
  reconciler drift --output json

Class is what a change needs: live, restart, recreate, or never where the reconciler leaves it to
you. Policy is `drift.policy` or `drift.fields` of the spec: enforce is mended by the next apply,
report is not; ignore is shown with --show-ignored alone and counts for no exit code. Without a
policy it is no drift: the file has been edited, or something is to be made, started or removed.
Capabilities, user, groups, seccomp, noNewPrivileges, labels and id maps of a running process that
exceed its spec, namespaces that are not of a path, and foreign processes in its cgroup, are only
ever reported. What a program may do by itself (be nicer, drop what it has) is no drift. Since is
when it ended, its file was edited, or a pass first saw it; the kernel dates nothing else. Values of
environment variables are never shown: they may be secret."""

_HEADER = ("NAME", "FIELD", "DESIRED", "OBSERVED", "CLASS", "POLICY", "SINCE")
_CHANGES_PENDING = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sources and what a plan may do."""
    add_sources(parser)
    add_plan_options(parser)
    parser.add_argument(
        "--detailed-exitcode", action="store_true", help="exit 2 when something differs"
    )
    parser.add_argument(
        "--show-ignored", action="store_true", help="show what drift.policy says to ignore as well"
    )


def run(args: argparse.Namespace) -> int:
    """Print a row a field. Raises: ReconcilerError when containers cannot be listed."""
    configure_logs(args, is_told_on_stdout=True)
    report, drift = make_reconciler(args).drift()
    shown = [
        (name, row)
        for name, rows in drift.items()
        for row in rows
        if args.show_ignored or not row.is_ignored()
    ]
    if args.output != "table":
        items = [drift_json(name, row) for name, row in shown]
        problems = [problem.to_json() for problem in report.plan.problems]
        emit_data({"items": items, "problems": problems}, args.output)
    else:
        if shown:
            emit_table(_HEADER, [_row(name, one, report.world.now) for name, one in shown])
        else:
            emit("no drift")
        show_problems(report.plan.problems)
    code = report.exit_code()
    differs = any(not row.is_ignored() for _, row in shown)
    return _CHANGES_PENDING if code == 0 and differs and args.detailed_exitcode else code


def _row(name: str, row: DriftRow, now: float) -> list[str]:
    from reconciler.model.action import spell_value

    change = row.change
    return [
        name,
        change.field,
        *map(spell_value, change.shown()),
        change.change_class.spell(),
        change.policy or "",
        "unknown" if row.since is None else f"{format_age(now - row.since)} ago",
    ]
