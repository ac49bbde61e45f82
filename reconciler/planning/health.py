"""Whether a container is ready, why not, and whether its probes ask for its end: pure.

Called by planning, for dependencies and for the state table, and by what shows it. Without a
startup and a readiness probe, a container is ready when it runs.
"""

from __future__ import annotations

from reconciler.model.frozen import frozen
from reconciler.model.health import Health, ProbeKind, ProbeResult
from reconciler.model.spec import Probe, Probes, Spec
from reconciler.model.state import Status
from reconciler.model.world import Observed


@frozen
class Readiness:
    """Whether it is ready; a reason for programs, a message for people, since when (seconds)."""

    is_ready: bool
    reason: str
    message: str = ""
    since: float | None = None


def readiness_of(spec: Spec | None, observed: Observed | None, health: Health | None) -> Readiness:
    """Return whether a container is ready, and all that is known of why not.

    `spec` is None for one that the reconciler did not make: it has no probes.
    """
    probes = Probes() if spec is None else spec.probes
    if observed is None:
        return Readiness(is_ready=False, reason="NotRunning", message="it does not exist")
    if observed.status is not Status.RUNNING:
        return Readiness(is_ready=False, reason="NotRunning", message=f"it is {observed.status}")
    passed: Readiness | None = None
    for kind in (ProbeKind.STARTUP, ProbeKind.READINESS):
        probe = kind.of(probes)
        if probe is None:
            continue
        result = _result(observed, health, kind, probe)
        if not result.passes:
            return _not_ready(kind, result)
        passed = Readiness(is_ready=True, reason="ProbePasses", since=result.since)
    return passed or Readiness(is_ready=True, reason="NoProbe", since=observed.started_at)


def failed_probe(spec: Spec, observed: Observed, health: Health | None) -> str | None:
    """Return why its probes ask for the end of a container that runs, None when they do not.

    As `its liveness probe failed 3 times in a row: connection refused`.
    """
    for kind in (ProbeKind.STARTUP, ProbeKind.LIVENESS):
        probe = kind.of(spec.probes)
        if probe is not None and observed.status is Status.RUNNING:
            result = _result(observed, health, kind, probe)
            if result.passes is False and result.failures:
                return describe_failure(kind, result)
    return None


def describe_failure(kind: ProbeKind, result: ProbeResult) -> str:
    """Return `its readiness probe failed 3 times in a row: connection refused`."""
    times = "once" if result.failures == 1 else f"{result.failures} times in a row"
    return f"its {kind} probe failed {times}: {result.message}"


def _not_ready(kind: ProbeKind, result: ProbeResult) -> Readiness:
    if result.passes is None:
        message = f"its {kind} probe has not passed yet"
        if result.message:
            message = f"{message}: {result.message}"
        return Readiness(is_ready=False, reason="Starting", message=message)
    if result.failures:
        message = describe_failure(kind, result)
    else:
        message = f"its {kind} probe passes again, but not often enough in a row yet"
    return Readiness(is_ready=False, reason="ProbeFailing", message=message, since=result.since)


def _result(
    observed: Observed, health: Health | None, kind: ProbeKind, probe: Probe
) -> ProbeResult:
    if health is None or not health.is_of(observed.pid, observed.started_at):
        return ProbeResult()
    return health.result(kind, probe)
