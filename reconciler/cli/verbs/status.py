"""`reconciler status`: the containers, and how far they are from what they should be.

With sources it shows what is theirs, with names those. Without either, all containers, and what
else is asked for by the sources they were made from and by the default one.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from reconciler.cli.arguments import add_sources
from reconciler.cli.instance import configure_logs, make_engine
from reconciler.cli.look import look_at_all, spell_exit
from reconciler.cli.output import (
    DIM,
    GREEN,
    RED,
    YELLOW,
    emit,
    emit_data,
    emit_table,
    format_age,
    styled,
)

if TYPE_CHECKING:
    from reconciler.control.report import PassReport
    from reconciler.engine.engine import Engine
    from reconciler.model.world import Observed

EXAMPLES = """\
  reconciler status               # all containers
  reconciler status ./conf        # those of a source, also what is yet to be created
  reconciler status web db        # these two, where no file or directory has such a name
  reconciler status --output json"""

_HEADER = ("NAME", "KIND", "STATE", "PID", "RESTARTS", "AGE", "LAST EXIT", "MESSAGE")
_STYLES = {
    "running": GREEN,
    "completed": DIM,
    "stopped": DIM,
    "failed": RED,
    "invalid": RED,
    "unknown": RED,
    "paused": YELLOW,
    "backoff": YELLOW,
    "pending": YELLOW,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sources or names."""
    add_sources(parser, names=True)


def run(args: argparse.Namespace) -> int:
    """Print one row a container.

    Raises: SourceMissing, NameNotFound; ReconcilerError when listing fails.
    """
    from reconciler.control.status import status_items

    configure_logs(args, is_told_on_stdout=True)
    engine = make_engine(args)
    names = [word for word in args.sources if "/" not in word and not os.path.lexists(word)]
    sources = [word for word in args.sources if word not in names]
    report = _look_at(sources, engine) if sources else look_at_all(engine)
    items = status_items(report)
    _check_names(names, [item["name"] for item in items])
    if sources:
        items = [item for item in items if _is_of_sources(item["name"], report)]
    if names:
        items = [item for item in items if item["name"] in names]
    if args.output != "table":
        emit_data({"items": items}, args.output)
    else:
        _show(items, report)
    return 0


def _show(items: list[dict[str, Any]], report: PassReport) -> None:
    if items:
        emit_table(_HEADER, [_row(item, report) for item in items], _STYLES)
    else:
        emit(f"no containers{_whose_else()}")
    shown = {item["name"] for item in items} | report.world.containers.keys()
    for name, failure in sorted(report.world.failures.items()):
        if name not in shown:  # never made, and so of no known source
            emit(styled(f"! {failure.problem.message}", RED))


def _whose_else() -> str:
    """Return where to look for an ordinary user who may mean root's containers."""
    is_root_s = os.geteuid() != 0 and os.path.isdir("/run/reconciler")
    return " of this user; root is shown its own: `sudo reconciler status`" if is_root_s else ""


def _look_at(sources: list[str], engine: Engine) -> PassReport:
    from reconciler.control.reconcile import Reconciler
    from reconciler.errors import ErrorCode, ReconcilerError

    for source in sources:
        if not os.path.lexists(source):
            message = f"cannot read source {source}: it does not exist"
            raise ReconcilerError(ErrorCode.SourceMissing, message, path=source)
    return Reconciler(engine, sources).plan()


def _check_names(names: list[str], known: list[str]) -> None:
    """Refuse a word that is neither a path nor a name. Raises: NameNotFound."""
    from difflib import get_close_matches

    from reconciler.errors import ErrorCode, ReconcilerError

    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`reconciler status` lists all"
            message = f"cannot find {name}: it is no file or directory and no container; {hint}"
            raise ReconcilerError(ErrorCode.NameNotFound, message, container=name)


def _is_of_sources(name: str, report: PassReport) -> bool:
    from reconciler.planning.prune import is_owned

    desired = report.desired
    observed = report.world.containers.get(name)
    if name in desired.specs or name in desired.invalid:
        return True
    return observed is not None and is_owned(observed, desired)


def _row(item: dict[str, Any], report: PassReport) -> list[str]:
    observed = report.world.containers.get(item["name"])
    return [
        item["name"],
        item["kind"],
        item["state"],
        str(item["pid"] or ""),
        str(item["restarts"]),
        _age(observed, report.world.now),
        "" if observed is None else spell_exit(observed.last_exit),
        _message(item["conditions"]),
    ]


def _age(observed: Observed | None, now: float) -> str:
    """Return for how long it has run, or how long ago it ended."""
    if observed is None:
        return ""
    if observed.pid is None and observed.last_exit is not None:
        return format_age(now - observed.last_exit.at)
    return "" if observed.started_at is None else format_age(now - observed.started_at)


def _message(conditions: list[dict[str, Any]]) -> str:
    """Return what is to be known first: what is wrong, else what goes on."""
    by_type = {condition["type"]: condition for condition in conditions}
    if by_type["Valid"]["status"] == "False":
        return str(by_type["Valid"]["message"])
    if by_type["Progressing"]["reason"] != "Converged":
        return str(by_type["Progressing"]["message"])
    for kind, usual in (("Enforced", "True"), ("Drifted", "False")):
        if by_type[kind]["status"] != usual and by_type[kind]["message"]:
            return str(by_type[kind]["message"])
    running, ready = by_type["Running"], by_type["Ready"]
    if running["status"] == "True":
        return str(ready["message"])
    return str(running["message"]) if running["reason"] not in ("Completed", "Stopped") else ""
