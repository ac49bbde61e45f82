"""What becomes of drift: mended, reported or ignored; and that an edit is always applied."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.action import Plan, Update
from reconciler.model.config import Rlimit
from reconciler.model.spec import DesiredState, Drift, DriftPolicy, Prune, PruneMode, Spec
from reconciler.model.state import Status
from reconciler.model.world import Observed
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import (
    NOW,
    all_limits,
    apply_plan,
    limits_of,
    make_desired,
    make_exit,
    make_observed,
    make_resources,
    make_spec,
    make_world,
)

REPORT, IGNORE, ENFORCE = DriftPolicy.REPORT, DriftPolicy.IGNORE, DriftPolicy.ENFORCE


def make(policy: DriftPolicy | Drift, **fields: Any) -> Spec:
    drift = policy if isinstance(policy, Drift) else Drift(policy=policy)
    fields.setdefault("resources", make_resources(memory=8192, pids=5))
    return make_spec(drift=drift, **fields)


def plan(spec: Spec, observed: Observed) -> Plan:
    desired, world = make_desired(spec), make_world(observed)
    return make_plan(desired, world, all_limits(desired, world), PlanOptions())


def limited(spec: Spec, **limits: int) -> Observed:
    shown = limits_of(spec) | {f"resources.{name}.max": value for name, value in limits.items()}
    return make_observed(spec, limits=shown)


@pytest.mark.parametrize(
    ("policy", "verbs", "reported"),
    [(ENFORCE, ["update"], []), (REPORT, [], ["resources.pids.max"]), (IGNORE, [], [])],
)
def test_a_changed_limit_is_mended_reported_or_ignored(
    policy: DriftPolicy, verbs: list[str], reported: list[str]
) -> None:
    spec = make(policy)
    found = plan(spec, limited(spec, pids=7))
    assert [action.verb for action in found.actions] == verbs
    assert [change.field for change in found.reported.get("web", ())] == reported


@pytest.mark.parametrize("policy", [REPORT, IGNORE])
@pytest.mark.parametrize(
    ("shown", "process"),
    [
        (Status.PAUSED, {}),
        (Status.RUNNING, {"oomScoreAdj": 9}),
        (Status.RUNNING, {"hostname": "evil"}),
        (Status.RUNNING, {"rlimits.nofile": (1, 99)}),
    ],
)
def test_every_kind_of_drift_is_left_alone_where_the_policy_says_so(
    policy: DriftPolicy, shown: Status, process: dict[str, Any]
) -> None:
    limits = (Rlimit(type="NOFILE", soft=1, hard=2),)
    spec = make(policy, oom_score_adj=5, rlimits=limits)
    found = plan(spec, make_observed(spec, shown, process=process))
    assert found.actions == ()
    assert len(found.reported) == (policy is REPORT)


def test_the_nearest_policy_decides_for_a_field() -> None:
    spec = make(Drift(policy=IGNORE, fields={"resources": REPORT, "resources.pids.max": ENFORCE}))
    found = plan(spec, limited(spec, pids=7, memory=4096))
    (action,) = found.actions
    assert [change.field for change in action.changes] == ["resources.pids.max"]
    assert [change.field for change in found.reported["web"]] == ["resources.memory.max"]


@pytest.mark.parametrize("policy", DriftPolicy)
def test_an_edit_is_applied_under_every_policy(policy: DriftPolicy) -> None:
    old = make(policy)
    for new, verb in (
        (make(policy, resources=make_resources(memory=4096, pids=5)), "update"),
        (make(policy, state=DesiredState.PAUSED), "pause"),
        (make(policy, state=DesiredState.STOPPED), "stop"),
        (make(policy, hostname="other"), "restart"),
        (make(policy, oom_score_adj=3), "restart"),
    ):
        (action,) = plan(new, make_observed(old)).actions
        assert action.verb == verb


def test_a_limit_and_the_state_edited_together_are_one_update_that_leaves_nothing() -> None:
    old, new = (
        make(REPORT),
        make(REPORT, resources=make_resources(pids=9), state=DesiredState.PAUSED),
    )
    world, desired = make_world(make_observed(old)), make_desired(new)
    first = make_plan(desired, world, all_limits(desired, world), PlanOptions())
    assert [type(action) for action in first.actions] == [Update]
    after = apply_plan(first, world)
    assert after.containers["web"].status is Status.PAUSED
    assert make_plan(desired, after, all_limits(desired, after), PlanOptions()).actions == ()


def test_a_killed_init_is_the_restart_policys_under_every_drift_policy() -> None:
    for policy in DriftPolicy:
        spec = make(policy)
        ended = make_observed(spec, Status.STOPPED, last_exit=make_exit(None, 9, NOW - 60))
        (action,) = plan(spec, ended).actions
        assert action.verb == "start"


def test_a_frozen_container_whose_file_is_back_is_resumed_under_every_policy() -> None:
    for policy in DriftPolicy:
        spec = make(policy, prune=Prune(mode=PruneMode.FREEZE))
        observed = make_observed(spec, Status.PAUSED, frozen_at=1.0)
        (action,) = plan(spec, observed).actions
        assert action.verb == "resume"


def test_foreign_processes_are_reported_and_a_lost_cgroup_is_mended_whatever_the_policy() -> None:
    for policy in (ENFORCE, REPORT):
        spec = make(policy)
        found = plan(spec, make_observed(spec, strangers=("4711 sh",)))
        assert found.actions == ()
        assert found.reported["web"][0].observed == ("4711 sh",)
    lost = plan(make(IGNORE), make_observed(make(IGNORE), has_cgroup=False))
    assert [action.verb for action in lost.actions] == ["restart"]
