"""What the probes of one name have found, as the data that `why` shows, and for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from reconciler.cli.output import RED, format_age, plural, styled

if TYPE_CHECKING:
    from reconciler.control.report import PassReport
    from reconciler.model.spec import Spec

Facts = dict[str, Any]


def probe_facts(report: PassReport, name: str, spec: Spec | None) -> list[Facts]:
    """Return `{kind, passes, since, checkedAt, failures, message}` of each probe of its run.

    `passes` is null as long as there is no verdict.
    """
    from reconciler.model.health import Health, ProbeKind
    from reconciler.model.moment import format_time

    observed = report.world.containers.get(name)
    if spec is None or observed is None or observed.pid is None:
        return []
    health = report.world.health.get(name) or Health(pid=0, started_at=0.0)
    found = []
    for kind in ProbeKind:
        probe = kind.of(spec.probes)
        if probe is None:
            continue
        result = health.result(kind, probe)
        times = (
            None if at is None else format_time(at) for at in (result.since, result.checked_at)
        )
        since, checked_at = times
        found.append(
            {
                "kind": kind.value,
                "passes": result.passes,
                "since": since,
                "checkedAt": checked_at,
                "failures": result.failures,
                "message": result.message,
            }
        )
    return found


def probe_rows(facts: Facts, now: float) -> Iterator[tuple[str, str]]:
    """Yield the rows of the probes, and why the last run was stopped for one; `now` in seconds."""
    if facts["stoppedFor"] is not None:
        yield "stopped", styled(f"as {facts['stoppedFor']}", RED)
    for probe in facts["probes"]:
        yield "probe", f"{probe['kind']} {_spell(probe, now)}"


def _spell(probe: Facts, now: float) -> str:
    if probe["checkedAt"] is None:
        return "has not been checked yet"
    failures = plural(probe["failures"], "failure") + " in a row"
    told = f"{failures}: {probe['message']}" if probe["failures"] else ""
    if probe["passes"] is None:
        return "has not passed yet" + (f", {told}" if told else "")
    age = format_age(now - _seconds(probe["since"]))
    if probe["passes"]:
        return f"passes, for {age}" + (f"; {told}" if told else "")
    return styled(f"fails, for {age}", RED) + (
        f", {told}" if told else ", and begins to pass again"
    )


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
