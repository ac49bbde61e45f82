"""Readiness, why not, and what the probes ask the end of: pure values in, pure values out."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.action import Start, StopAction, Wait
from reconciler.model.frozen import replace
from reconciler.model.health import Health, ProbeKind, ProbeResult, probe_identity
from reconciler.model.spec import (
    NS,
    Backoff,
    DesiredState,
    Probe,
    Probes,
    Restart,
    RestartPolicy,
    Spec,
    Suspend,
)
from reconciler.model.state import Status
from reconciler.model.world import Observed, RestartMemory
from reconciler.planning.health import readiness_of
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import (
    NOW,
    all_limits,
    make_desired,
    make_exit,
    make_observed,
    make_spec,
    make_world,
)

PROBE = Probe(unix="/s")
FAILED = ProbeResult(passes=False, since=NOW - 5, failures=3, message="connection refused")
PASSED = ProbeResult(passes=True, since=NOW - 9, successes=1)
WHY = "its liveness probe failed 3 times in a row: connection refused"


def health(observed: Observed, **results: ProbeResult) -> Health:
    """Return what was found of the run of a container, by probes like PROBE."""
    found = {kind: replace(one, check=probe_identity(PROBE)) for kind, one in results.items()}
    return Health(pid=observed.pid or 0, started_at=observed.started_at or 0.0, **found)


def probed(*kinds: ProbeKind, **fields: Any) -> Spec:
    probes = Probes(**dict.fromkeys(map(str, kinds), PROBE))
    fields.setdefault("restart", Restart(backoff=Backoff(initial_ns=NS)))
    return make_spec(probes=probes, **fields)


READY = probed(ProbeKind.STARTUP, ProbeKind.READINESS)
ALIVE = probed(ProbeKind.LIVENESS)


def plan(spec: Spec, observed: Observed, found: Health | None) -> Any:
    """Return the one action or wait of a plan, None for an empty one."""
    desired = make_desired(spec)
    world = make_world(observed, health={} if found is None else {spec.name: found})
    made = make_plan(desired, world, all_limits(desired, world), PlanOptions())
    return next(iter((*made.actions, *made.waits, *made.problems)), None)


def test_what_has_neither_a_readiness_nor_a_startup_probe_is_ready_when_it_runs() -> None:
    for spec in (make_spec(), ALIVE):
        assert readiness_of(spec, make_observed(spec), None).is_ready
        assert readiness_of(spec, make_observed(spec), None).reason == "NoProbe"
    assert readiness_of(ALIVE, make_observed(ALIVE, Status.PAUSED), None).message == "it is paused"
    assert (
        readiness_of(ALIVE, make_observed(ALIVE, Status.STOPPED), None).message == "it is stopped"
    )
    assert readiness_of(ALIVE, None, None).message == "it does not exist"


def test_it_is_ready_once_both_the_startup_and_the_readiness_probe_pass() -> None:
    running = make_observed(READY)
    found = readiness_of(READY, running, health(running, startup=PASSED, readiness=PASSED))
    assert (found.is_ready, found.reason, found.since) == (True, "ProbePasses", NOW - 9)
    assert readiness_of(READY, running, None).message == "its startup probe has not passed yet"
    starting = health(running, startup=PASSED, readiness=ProbeResult(failures=1, message="refused"))
    told = "its readiness probe has not passed yet: refused"
    assert readiness_of(READY, running, starting).message == told


def test_a_failing_readiness_probe_is_told_with_its_count_its_message_and_since_when() -> None:
    running = make_observed(READY)
    found = readiness_of(READY, running, health(running, startup=PASSED, readiness=FAILED))
    assert (found.reason, found.since) == ("ProbeFailing", NOW - 5)
    assert found.message == "its readiness probe failed 3 times in a row: connection refused"
    assert not plan(READY, running, health(running, startup=PASSED, readiness=FAILED))


@pytest.mark.parametrize("other", [{"pid": 8}, {"started_at": NOW}])
def test_what_was_found_of_another_run_counts_for_nothing(other: dict[str, Any]) -> None:
    running = make_observed(READY)
    stale = replace(health(running, startup=PASSED, readiness=PASSED), **other)
    assert not readiness_of(READY, running, stale).is_ready
    alive = make_observed(ALIVE)
    assert plan(ALIVE, alive, replace(health(alive, liveness=FAILED), **other)) is None


def test_what_another_probe_found_counts_for_nothing() -> None:
    alive = make_observed(ALIVE)
    found = replace(health(alive), liveness=replace(FAILED, check=1))
    assert plan(ALIVE, alive, found) is None


@pytest.mark.parametrize("kind", [ProbeKind.LIVENESS, ProbeKind.STARTUP])
def test_a_failed_liveness_or_startup_probe_stops_the_container_as_a_failure(
    kind: ProbeKind,
) -> None:
    spec = probed(kind)
    running = make_observed(spec, memory=RestartMemory(count=4, failures=2))
    action = plan(spec, running, health(running, **{kind.value: FAILED}))
    assert isinstance(action, StopAction)
    assert action.reason == WHY.replace("liveness", kind.value)
    assert action.memory == RestartMemory(count=4, failures=2, failed_probe=action.reason)


def test_nothing_is_stopped_while_it_is_paused_suspended_or_already_recovering() -> None:
    paused = make_observed(ALIVE, Status.PAUSED, paused_at=NOW - 9)
    assert plan(ALIVE, paused, health(paused, liveness=FAILED)) is None
    suspended = make_observed(ALIVE, suspend=Suspend())
    assert plan(ALIVE, suspended, health(suspended, liveness=FAILED)) is None
    running = make_observed(ALIVE)
    recovering = health(running, liveness=replace(FAILED, failures=0, successes=1))
    assert plan(ALIVE, running, recovering) is None


def stopped(spec: Spec, **memory: Any) -> Observed:
    """Return what was stopped for its probe just now, and ended well."""
    memory = {"failed_probe": WHY, **memory}
    return make_observed(
        spec,
        Status.STOPPED,
        started_at=NOW - 1,
        last_exit=make_exit(0, at=NOW),
        memory=RestartMemory(**memory),
    )


@pytest.mark.parametrize("policy", [RestartPolicy.ALWAYS, RestartPolicy.ON_FAILURE])
def test_what_was_stopped_for_its_probe_is_restarted_by_its_policy_after_the_backoff(
    policy: RestartPolicy,
) -> None:
    restart = Restart(policy=policy, backoff=Backoff(initial_ns=NS), permanent_exit_codes=(0,))
    spec = replace(ALIVE, restart=restart)
    wait = plan(spec, stopped(spec, failures=1), None)
    assert isinstance(wait, Wait)
    assert (wait.until, wait.reason, wait.attempts) == (NOW + 2, f"it was stopped: {WHY}", 2)
    at_once = replace(restart, backoff=Backoff(initial_ns=0))
    spec = replace(spec, restart=at_once)
    action = plan(spec, stopped(spec, failures=1), None)
    assert isinstance(action, Start)
    assert action.memory == RestartMemory(count=1, failures=2)


def test_with_the_policy_never_or_spent_attempts_it_is_left_stopped() -> None:
    never = replace(ALIVE, restart=Restart(policy=RestartPolicy.NEVER))
    assert plan(never, stopped(never), None) is None
    spent = replace(ALIVE, restart=Restart(max_attempts=2))
    problem = plan(spent, stopped(spent, failures=2), None)
    assert problem.name == "CrashLoop"
    assert WHY in problem.message


def test_what_is_to_be_stopped_is_stopped_for_that_reason() -> None:
    spec = replace(ALIVE, state=DesiredState.STOPPED)
    running = make_observed(spec)
    assert plan(spec, running, health(running, liveness=FAILED)).memory is None
