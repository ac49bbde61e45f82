"""What a pass has found and nobody has told yet: ends of containers, and what has become wrong.

    RUN_DIR/told.json   {exits: {name: at}, problems: {SOURCES: [what each of them said]}}

Called by each pass under the reconciler's lock, so that the journal has each once, whether a
daemon found it, two of them, or a one-shot run. It is a hint: without the file something is told
again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from typing import Any

from reconciler.control.journal import append_event, make_event
from reconciler.control.json_file import replace_json
from reconciler.control.logs import log_failure
from reconciler.control.ports import EnginePort
from reconciler.control.report import PassReport
from reconciler.errors import from_os_error
from reconciler.model.state import ExitStatus
from reconciler.model.world import Problem

FILE = "told.json"
_MAX_GROUPS = 100

Told = dict[str, Any]


def tell_news(engine: EnginePort, report: PassReport, scope: Collection[str] | None = None) -> None:
    """Add to the journal what is new in a report, and note that it is told.

    `scope`: the containers that were looked at, None: all. Of others the report is older than what
    another process may have told.
    """
    before = _read(engine.run_dir)
    exits = {
        one.name: one.last_exit
        for one in report.world.containers.values()
        if one.last_exit is not None and (scope is None or one.name in scope)
    }
    for name, last in sorted(exits.items(), key=lambda item: item[1].at):
        if before["exits"].get(name) != last.at:
            _tell_exit(engine.state_dir, name, last)
    group = "\n".join(sorted(source.path for source in report.desired.sources))
    known = before["problems"].get(group, [])
    problems = {problem.describe(): problem for problem in report.plan.problems}
    for text, problem in problems.items():
        if text not in known:
            _tell_problem(engine.state_dir, report.world.now, problem)
    groups = {key: texts for key, texts in before["problems"].items() if key != group}
    texts = list(problems) if scope is None else [*known, *(problems.keys() - set(known))]
    if texts:
        groups[group] = texts
    ends = {} if scope is None else {n: at for n, at in before["exits"].items() if n not in scope}
    after: Told = {
        "exits": ends | {name: last.at for name, last in exits.items()},
        "problems": dict(list(groups.items())[-_MAX_GROUPS:]),
    }
    if after != before:
        _write(engine.run_dir, after)


def _tell_exit(state_dir: str, name: str, last: ExitStatus) -> None:
    how = last.describe()
    event = make_event(last.at, "exit", name, cause=how, message=f"{name} ended: {how}")
    append_event(state_dir, event)


def _tell_problem(state_dir: str, now: float, problem: Problem) -> None:
    event = make_event(
        now,
        problem.name,
        problem.spec_name,
        code=problem.code,
        cause="found by a pass",
        message=problem.describe(),
    )
    append_event(state_dir, event)


def _read(run_dir: str) -> Told:
    try:
        with open(os.path.join(run_dir, FILE), "rb") as stream:
            told = json.loads(stream.read())
        return {"exits": dict(told["exits"]), "problems": dict(told["problems"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {"exits": {}, "problems": {}}


def _write(run_dir: str, told: Told) -> None:
    path = os.path.join(run_dir, FILE)
    try:
        replace_json(path, told)
    except OSError as error:
        log_failure(from_os_error(error, "cannot note what the journal has", path=path))
