"""From one check to the verdict of a probe: thresholds in a row. Pure."""

from __future__ import annotations

from reconciler.model.frozen import replace
from reconciler.model.health import ProbeResult
from reconciler.model.spec import Probe


def next_result(before: ProbeResult, probe: Probe, failure: str | None, at: float) -> ProbeResult:
    """Return what a probe has found once a check that began `at` (seconds) passed or failed.

    `failure` is why it failed, None when it passed.
    """
    successes = before.successes + 1 if failure is None else 0
    failures = 0 if failure is None else before.failures + 1
    passes = before.passes
    if successes >= probe.success_threshold:
        passes = True
    elif failures >= probe.failure_threshold:
        passes = False
    return replace(
        before,
        passes=passes,
        since=before.since if passes is before.passes else at,
        checked_at=at,
        successes=successes,
        failures=failures,
        message=failure or "",
    )


def is_news(before: ProbeResult, after: ProbeResult, probe: Probe) -> bool:
    """Tell whether something has changed that who reads it goes by: not the mere time of it."""
    return _essence(before, probe) != _essence(after, probe)


def _essence(result: ProbeResult, probe: Probe) -> ProbeResult:
    return replace(
        result,
        checked_at=None,
        successes=min(result.successes, probe.success_threshold),
        failures=min(result.failures, probe.failure_threshold),
    )
