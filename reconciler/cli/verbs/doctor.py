"""`reconciler doctor`: what this host can enforce, what not and why, and what mends it."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from reconciler.cli.output import GREEN, RED, YELLOW, emit, emit_data, emit_table, styled

if TYPE_CHECKING:
    from reconciler.cli.checks import Check

EXAMPLES = """\
  reconciler doctor
  reconciler doctor --output json
  reconciler doctor --run-dir /run/other    # of another instance

FAIL means that containers cannot be run here; WARN that something is missing which only some
specs ask for, or that something was left over. It changes nothing.

exit codes: 0 nothing fails; 1 something does"""

_STYLES = {"OK": GREEN, "WARN": YELLOW, "FAIL": RED}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: it has no arguments of its own."""


def run(args: argparse.Namespace) -> int:
    """Ask everything and tell it; 1 if something fails."""
    checks = _checks(args)
    if args.output != "table":
        emit_data({"items": [check.to_json() for check in checks]}, args.output)
    else:
        _show(checks)
    return 1 if any(check.status == "FAIL" for check in checks) else 0


def _checks(args: argparse.Namespace) -> list[Check]:
    from reconciler.cli.checks import FAIL, Check, check_host
    from reconciler.cli.checks_instance import check_instance
    from reconciler.cli.checks_systemd import check_systemd
    from reconciler.cli.instance import make_engine
    from reconciler.errors import ReconcilerError

    checks = [*check_host()]
    try:
        engine = make_engine(args)
        checks += check_instance(engine)
        checks += check_systemd(engine)
    except ReconcilerError as error:
        how = f"see: reconciler explain {error.code.name}"
        checks.append(Check("instance", FAIL, str(error), how))
    return checks


def _show(checks: list[Check]) -> None:
    rows = [(check.status, check.name, check.found) for check in checks]
    emit_table(("STATUS", "CHECK", "FOUND"), rows, _STYLES)
    counts = Counter(check.status for check in checks)
    emit("\n" + ", ".join(f"{counts[status]} {status}" for status in _STYLES))
    for check in checks:
        if check.remedy:
            emit(styled(f"{check.status} {check.name}", _STYLES[check.status]))
            emit(f"  {check.found}")
            emit(f"  to mend it: {check.remedy}")
