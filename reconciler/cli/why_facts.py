"""All that is known of one name, as the data that `why` shows. Called by `why`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from reconciler.cli.log_reader import LogFilter, LogReader
from reconciler.cli.look import drift_json
from reconciler.cli.usage import read_pressure
from reconciler.cli.why_probes import probe_facts

if TYPE_CHECKING:
    from reconciler.control.drift import DriftRow
    from reconciler.control.report import PassReport
    from reconciler.engine.container import Container
    from reconciler.engine.engine import Engine
    from reconciler.model.action import Wait
    from reconciler.model.spec import Spec
    from reconciler.model.world import Observed, Problem

Facts = dict[str, Any]

_LOG_LINES = 10


def collect_facts(
    engine: Engine, report: PassReport, name: str, drift: tuple[DriftRow, ...]
) -> Facts | None:
    """Return the facts, None for a name that nothing knows; `drift` are its differing fields.

    The keys are those of an item of `status`, then file, command, stoppedFor,
    permanentExitCodes, probes, figures, pressurePercent, failure, wait, problems, drift and log.
    """
    from reconciler.control.status import status_items

    item = next((one for one in status_items(report) if one["name"] == name), None)
    failure = report.world.failures.get(name)
    if item is None and failure is None:
        return None
    observed = report.world.containers.get(name)
    spec = report.desired.specs.get(name) or (observed.spec if observed is not None else None)
    action = next((one for one in report.plan.actions if one.name == name), None)
    wait = next((one for one in report.plan.waits if one.name == name), None)
    facts = item or {"name": name, "kind": None, "state": "failed", "conditions": []}
    return {
        **facts,
        "file": _place(spec),
        "command": list(spec.config.command) if spec is not None else None,
        "restartPolicy": spec.restart.policy.value if spec is not None else None,
        "desiredState": spec.state.value if spec is not None else None,
        "pausedByHand": observed is not None and observed.paused_at is not None,
        "lastExit": facts.get("lastExit"),
        "stoppedFor": _stopped_for(spec, observed),
        "permanentExitCodes": list(spec.restart.permanent_exit_codes) if spec is not None else [],
        "probes": probe_facts(report, name, spec),
        **_figures(engine, name),
        "failure": _failure(failure.problem, failure.at, failure.count) if failure else None,
        "wait": _wait(wait) if wait is not None else None,
        "action": action.to_json() if action is not None else None,
        "problems": [problem.to_json() for problem in _problems(report, name, spec)],
        "drift": [drift_json(name, row) for row in drift if not row.is_ignored()],
        "log": _log(engine, name),
    }


def _place(spec: Spec | None) -> str | None:
    return (
        None if spec is None or not spec.origin.file else f"{spec.origin.file}:{spec.origin.line}"
    )


def _stopped_for(spec: Spec | None, observed: Observed | None) -> str | None:
    """Return why the reconciler ended the last run as it was no good, None where it did not."""
    from reconciler.planning.ended import overdue_reason

    if observed is None:
        return None
    if observed.memory.is_overdue and spec is not None:
        return overdue_reason(spec)
    return observed.memory.failed_probe


def _wait(wait: Wait) -> Facts:
    return {key: value for key, value in wait.to_json().items() if key != "name"}


def _failure(problem: Problem, at: float, count: int) -> Facts:
    return {**problem.to_json(), "at": _time(at), "count": count}


def _problems(report: PassReport, name: str, spec: Spec | None) -> list[Problem]:
    """Return the problems that name it, or that are of its file."""
    file = spec.origin.file if spec is not None else None
    return [
        problem
        for problem in report.plan.problems
        if problem.spec_name == name or (file and problem.file == file and not problem.spec_name)
    ]


def _figures(engine: Engine, name: str) -> Facts:
    """Return what its cgroup shows, which after an end is what was at the end."""
    from reconciler.errors import ErrorCode, ReconcilerError

    none: Facts = {"figures": None, "pressurePercent": {}}
    try:
        container = engine.load(name)
        return _read_figures(container)
    except ReconcilerError as error:
        if error.code in (
            ErrorCode.ContainerNotExists,
            ErrorCode.ContainerNotRunning,
            ErrorCode.ContainerDestroyed,
            ErrorCode.CgroupUnavailable,
            ErrorCode.RecordCorrupt,
            ErrorCode.InvalidIdFormat,
        ):
            return none
        raise


def _read_figures(container: Container) -> Facts:
    stats = container.stats()
    figures = {
        "memoryBytes": stats.memory.usage_bytes,
        "memoryPeakBytes": stats.memory.peak_bytes,
        "memoryLimitBytes": stats.memory.limit_bytes,
        "oomKills": stats.memory.oom_kills,
        "cpuSeconds": round(stats.cpu.usage_ns / 1e9, 3),
        "cpuThrottledSeconds": round(stats.cpu.throttled_ns / 1e9, 3),
        "tasks": stats.pids.current,
        "tasksLimit": stats.pids.limit,
    }
    return {"figures": figures, "pressurePercent": read_pressure(container.record.cgroups)}


def _log(engine: Engine, name: str) -> list[dict[str, object]]:
    directory = os.path.join(engine.state_dir, "logs", name)
    if not os.path.isdir(directory):
        return []
    reader = LogReader(directory)
    try:
        return [line.to_json() for line in reader.read(LogFilter(), _LOG_LINES)]
    finally:
        reader.close()


def _time(at: float) -> str:
    from reconciler.model.moment import format_time

    return format_time(at)
