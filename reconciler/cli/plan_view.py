"""A plan for people: what would be done, to what, and why.

Called by `plan` and by `apply --dry-run`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from reconciler.cli.output import GREEN, RED, YELLOW, emit, emit_data, format_age, plural, styled

if TYPE_CHECKING:
    from reconciler.control.report import PassReport
    from reconciler.model.action import Action, Plan
    from reconciler.model.world import Problem

# How an action looks: a sign as in a diff, and its colour.
_SIGNS = {
    "create": ("+", GREEN),
    "recreate": ("±", YELLOW),
    "destroy": ("-", RED),
    "stop": ("-", YELLOW),
}
_OTHER_SIGN = ("~", YELLOW)


def show_plan(report: PassReport, output: str, *, is_detailed: bool) -> int:
    """Print the plan of a report as text or JSON, and return the exit code."""
    if output != "table":
        emit_data(report.plan.to_json() | {"unenforced": unenforced_json(report)}, output)
    else:
        _show_text(report)
    return report.exit_code(detailed=is_detailed)


def show_problems(problems: tuple[Problem, ...], sign: str = "! ") -> None:
    """Print each different problem on a line of its own, after `sign`."""
    for told in dict.fromkeys((one.describe(), f" ({one.name} {one.code})") for one in problems):
        emit(styled(sign + told[0], RED) + told[1])


def show_waits(plan: Plan, now: float) -> None:
    """Print what is to be done later; `now` is wall-clock seconds."""
    for wait in plan.waits:
        if wait.until is None:
            emit(styled(f". {wait.name}: {wait.reason}", YELLOW))
            continue
        left = format_age(wait.until - now) if wait.until - now >= 1 else "less than 1s"
        at_once = "; `reconciler apply` tries it at once" if wait.is_retry else ""
        emit(f". {wait.name} is due in {left}: {wait.reason}{at_once}")


def show_unenforced(report: PassReport) -> None:
    """Print what containers run without, as this host cannot enforce it."""
    from reconciler.control.enforcement import describe

    for name, fields in report.unenforced.items():
        for one in fields:
            emit(styled(f"! {name} is without {describe(one)}", YELLOW))


def unenforced_json(report: PassReport) -> list[dict[str, str]]:
    """Return `{name, field, reason, how}` of each field that this host cannot enforce."""
    return [
        {"name": name, "field": one.field, "reason": one.reason, "how": one.how}
        for name, fields in report.unenforced.items()
        for one in fields
    ]


def describe_converged(report: PassReport) -> str:
    """Return the line for a plan without actions."""
    number = len(report.desired.specs)
    if report.plan.waits or report.plan.problems:
        return "nothing to do now"
    return f"nothing to do: {plural(number, 'container')} in the desired state"


def _show_text(report: PassReport) -> None:
    for action in report.plan.actions:
        _show_action(action)
    show_waits(report.plan, report.world.now)
    show_unenforced(report)
    show_problems(report.plan.problems)
    if not report.plan.actions:
        emit(describe_converged(report))
        return
    counts = Counter(action.verb for action in report.plan.actions)
    emit("plan: " + ", ".join(f"{number} to {verb}" for verb, number in counts.items()))


def _show_action(action: Action) -> None:
    sign, colour = _SIGNS.get(action.verb, _OTHER_SIGN)
    emit(styled(f"{sign} {action.verb} {action.name}", colour) + f": {action.reason}")
    for change in action.changes:
        emit(f"    {change.describe()} ({change.change_class.spell()})")
