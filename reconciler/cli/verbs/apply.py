"""`reconciler apply`: makes the containers equal to the sources, once, and tells what it did."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.cli.arguments import add_lock_timeout, add_plan_options, add_sources, duration_s
from reconciler.cli.failure import hint
from reconciler.cli.instance import configure_logs, make_progress, make_reconciler
from reconciler.cli.output import GREEN, RED, emit, emit_data, plural, styled
from reconciler.cli.plan_view import (
    describe_converged,
    show_plan,
    show_problems,
    show_unenforced,
    show_waits,
    unenforced_json,
)

if TYPE_CHECKING:
    from reconciler.control.outcome import Outcome
    from reconciler.control.report import PassReport

EXAMPLES = """\
  reconciler apply                    # the default source
  reconciler apply ./conf --dry-run   # the same as plan
  reconciler apply ./conf --wait 5m   # for what others depend on, such as a long migration
  reconciler apply --plan FILE        # what plan --out FILE has shown, or nothing
  reconciler apply ./conf --allow-empty --max-prune 100
  reconciler apply ./conf --output json --timeout 5s"""

_PAST = {
    "create": "created",
    "recreate": "recreated",
    "start": "started",
    "restart": "restarted",
    "update": "updated",
    "react": "told",
    "pause": "paused",
    "resume": "resumed",
    "stop": "stopped",
    "freeze": "froze",
    "destroy": "destroyed",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sources, what a plan may do, and how to run."""
    add_sources(parser)
    add_plan_options(parser)
    add_lock_timeout(parser)
    parser.add_argument(
        "--wait",
        metavar="DURATION",
        type=duration_s,
        default=60.0,
        help="wait so long for containers that others depend on to be ready or completed"
        " (default: 60s; 0s: not at all)",
    )
    parser.add_argument(
        "--plan", metavar="FILE", help="do what a plan kept by plan --out says, and nothing else"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show the plan")


def run(args: argparse.Namespace) -> int:
    """Converge; 1 also for what still waits for what it depends on.

    Raises: LockTimeout; with a kept plan also PlanStale, PlanFileInvalid, Usage; ReconcilerError
    when containers cannot be listed.
    """
    configure_logs(args, is_told_on_stdout=True)
    if args.plan is not None:
        from reconciler.cli.planned import apply_saved
    if args.dry_run and args.plan is None:
        return show_plan(make_reconciler(args).plan(), args.output, is_detailed=False)
    with make_progress(args) as progress:
        if args.plan is not None:
            report = apply_saved(args, progress)
        else:
            reconciler = make_reconciler(args, progress)
            report = reconciler.converge(lock_timeout_s=args.timeout, wait_s=args.wait)
    if args.output != "table":
        emit_data(_to_json(report), args.output)
    else:
        _show(report)
    is_unmet = args.plan is None and report.unmet()
    return 1 if is_unmet else report.exit_code()


def _to_json(report: PassReport) -> dict[str, object]:
    """Return `plan`'s shape with what became of each action, and what waits or is left."""
    return {
        "actions": [
            outcome.action.to_json()
            | {
                "error": outcome.error.to_json() if outcome.error else None,
                "durationMs": outcome.duration_ns // 10**6,
            }
            for outcome in report.outcomes
        ],
        "waits": [wait.to_json() for wait in report.plan.waits],
        "left": [action.to_json() for action in report.plan.actions],
        "unenforced": unenforced_json(report),
        "problems": [problem.to_json() for problem in report.plan.problems],
    }


def _show(report: PassReport) -> None:
    """Print what was done, what failed and why, and what is left."""
    for outcome in report.outcomes:
        emit(_describe(outcome))
    show_waits(report.plan, report.world.now)
    show_unenforced(report)
    show_problems(report.plan.problems)
    for action in report.plan.actions:
        emit(f"? still to be done: {action.describe()}")
    if unmet := report.unmet():
        names = ", ".join(wait.name for wait in unmet)
        emit(styled(f"! still waiting for others: {names}", RED))
    if not report.outcomes:
        emit(describe_converged(report))
        return
    failed = sum(outcome.error is not None for outcome in report.outcomes)
    summary = f"{plural(len(report.outcomes) - failed, 'change')} made"
    emit(summary + (f", {failed} failed" if failed else ""))


def _describe(outcome: Outcome) -> str:
    action, error = outcome.action, outcome.error
    if error is not None:
        return styled(f"! {error}", RED) + hint(error)
    done = styled(f"{_PAST[action.verb]} {action.name}", GREEN)
    if action.verb == "create":
        return done
    why = "; ".join(change.describe() for change in action.changes) or action.reason
    return f"{done}: {why}"
