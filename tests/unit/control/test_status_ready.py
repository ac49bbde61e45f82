"""The condition Ready of `status`, and how one shows that was stopped for its probe."""

from __future__ import annotations

from typing import Any

from reconciler.control.report import PassReport
from reconciler.control.status import status_items
from reconciler.errors import ErrorCode
from reconciler.model.health import Health, ProbeResult, probe_identity
from reconciler.model.spec import Probe, Probes, Restart, RestartPolicy
from reconciler.model.state import Status
from reconciler.model.world import Problem, RestartMemory, World
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
SPEC = make_spec(probes=Probes(readiness=PROBE), restart=Restart(policy=RestartPolicy.NEVER))


def shown(world: World) -> dict[str, Any]:
    desired = make_desired(SPEC)
    plan = make_plan(desired, world, all_limits(desired, world), PlanOptions())
    (item,) = status_items(PassReport(desired=desired, world=world, plan=plan))
    return item | {one["type"]: one for one in item["conditions"]}


def health(**result: Any) -> dict[str, Health]:
    found = ProbeResult(check=probe_identity(PROBE), **result)
    return {"web": Health(pid=100, started_at=NOW - 3600, readiness=found)}


def test_it_is_true_false_or_unknown_with_a_reason_a_message_and_since_when() -> None:
    running = make_observed(SPEC)
    ready = shown(make_world(running, health=health(passes=True, since=NOW)))["Ready"]
    assert (ready["status"], ready["reason"], ready["message"]) == ("True", "ProbePasses", "")
    assert ready["lastTransitionAt"] == "1970-01-12T13:46:40.000Z"
    failing = health(passes=False, since=NOW, failures=4, message="refused")
    ready = shown(make_world(running, health=failing))["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "ProbeFailing")
    assert ready["message"] == "its readiness probe failed 4 times in a row: refused"
    assert shown(make_world(running))["Ready"]["reason"] == "Starting"
    stopped = make_world(make_observed(SPEC, Status.STOPPED))
    assert shown(stopped)["Ready"]["reason"] == "NotRunning"
    assert shown(make_world())["Ready"]["message"] == "it does not exist"
    trouble = Problem.of(ErrorCode.PermissionDenied, "cannot read it")
    ready = shown(make_world(unobserved={"web": trouble}))["Ready"]
    assert (ready["status"], ready["reason"]) == ("Unknown", "PermissionDenied")


def test_what_was_stopped_for_its_probe_has_failed_however_it_ended() -> None:
    memory = RestartMemory(failed_probe="its liveness probe failed once: no")
    ended = make_observed(SPEC, Status.STOPPED, last_exit=make_exit(0), memory=memory)
    item = shown(make_world(ended))
    assert item["state"] == "failed"
    assert item["Running"]["reason"] == "ProbeFailed"
    assert item["Running"]["message"] == "its liveness probe failed once: no; exit code 0"
