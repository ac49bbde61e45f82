"""A kept plan: what it holds, when it may still be carried out, and what is said when not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.control.plan_file import Instance, SavedPlan, read_plan, write_plan
from reconciler.control.report import PassReport
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.frozen import replace
from reconciler.model.spec import Spec
from reconciler.model.state import Status
from reconciler.model.world import Observed, World
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import (
    NOW,
    all_limits,
    make_desired,
    make_exit,
    make_observed,
    make_resources,
    make_spec,
    make_world,
)

INSTANCE = Instance(run_dir="/run/r", state_dir="/s", cgroup_parent=None, sources=("/etc/specs",))


def report(specs: list[Spec], world: World) -> PassReport:
    desired = make_desired(*specs)
    plan = make_plan(desired, world, all_limits(desired, world), PlanOptions())
    return PassReport(desired=desired, world=world, plan=plan)


def drifted(**fields: Any) -> Observed:
    return make_observed(WEB, limits={"resources.pids.max": 7}, **fields)


WEB = make_spec(resources=make_resources(pids=5))
DB = make_spec("db")
BEFORE = report([WEB, DB], make_world(drifted(), make_observed(DB)))


@pytest.fixture
def saved(tmp_path: Path) -> SavedPlan:
    """Return the plan of BEFORE as it comes back from a file."""
    path = tmp_path / "plan"
    write_plan(str(path), SavedPlan.of(BEFORE, INSTANCE, PlanOptions(max_prune_percent=7)))
    assert path.stat().st_mode & 0o777 == 0o600
    return read_plan(str(path))


def test_a_plan_comes_back_from_its_file_as_it_was(saved: SavedPlan) -> None:
    assert saved.instance == INSTANCE
    assert saved.options == PlanOptions(max_prune_percent=7)
    assert saved.select(BEFORE).actions == BEFORE.plan.actions
    assert [action["name"] for action in saved.actions] == ["web"]


def test_a_file_shows_no_value_but_those_of_the_changes(tmp_path: Path) -> None:
    spec = make_spec(env={"TOKEN": "hunter2"})
    path = tmp_path / "plan"
    write_plan(str(path), SavedPlan.of(report([spec], make_world()), INSTANCE, PlanOptions()))
    assert "hunter2" not in path.read_text()


@pytest.mark.parametrize(
    ("specs", "containers", "told"),
    [
        ([make_spec(resources=make_resources(pids=6)), DB], [drifted()], "resources.pids.max"),
        ([replace(WEB, digest="d2"), DB], [drifted()], "the file web has changed since"),
        ([WEB, replace(DB, digest="d2")], [drifted()], "the file db has changed since"),
        ([WEB], [drifted()], "the file db has come or gone since"),
        ([WEB, DB, make_spec("new")], [drifted()], "the file new has come or gone since"),
        ([WEB, DB], [drifted(pid=8)], "the container web has changed since: pid"),
        ([WEB, DB], [drifted(status=Status.PAUSED)], "the container web has changed since: state"),
        ([WEB, DB], [make_observed(WEB)], "resources.pids.max"),
        ([WEB, DB], [], "the container web has gone since"),
    ],
)
def test_what_is_no_longer_as_it_was_is_refused_and_named(
    saved: SavedPlan, specs: list[Spec], containers: list[Observed], told: str
) -> None:
    after = report(specs, make_world(*containers, make_observed(DB)))
    with pytest.raises(ReconcilerError) as failure:
        saved.select(after)
    assert failure.value.code is ErrorCode.PlanStale
    assert told in str(failure.value)


def test_what_happened_to_a_container_that_is_not_concerned_is_not_this_plans_to_mend(
    saved: SavedPlan,
) -> None:
    ended = make_observed(DB, Status.STOPPED, last_exit=make_exit(1, at=NOW - 100))
    after = report([WEB, DB], make_world(drifted(), ended))
    assert len(after.plan.actions) == 2
    assert [action.name for action in saved.select(after).actions] == ["web"]


def test_what_time_alone_has_changed_is_refused_too(tmp_path: Path) -> None:
    ended = make_observed(WEB, Status.STOPPED, last_exit=make_exit(1, at=NOW - 100))
    before = report([WEB], make_world(ended))
    saved = SavedPlan.of(before, INSTANCE, PlanOptions())
    with pytest.raises(ReconcilerError, match="to start web is no longer"):
        saved.select(replace(before, plan=replace(before.plan, actions=())))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "damaged"),
        ("{", "damaged"),
        ("[]", "no plan"),
        ("{}", "no plan"),
        ('{"version": 2}', "version 2"),
        ('{"version": 1}', "damaged"),
        ("\x00\xff", "damaged"),
    ],
)
def test_a_file_that_is_no_plan_is_told_of(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "plan"
    path.write_text(text)
    with pytest.raises(ReconcilerError, match=told) as failure:
        read_plan(str(path))
    assert failure.value.code is ErrorCode.PlanFileInvalid


def test_no_single_key_can_be_left_out_or_be_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    write_plan(str(path), SavedPlan.of(BEFORE, INSTANCE, PlanOptions()))
    whole = json.loads(path.read_text())
    for key in whole:
        for damaged in ({k: v for k, v in whole.items() if k != key}, whole | {key: 7}):
            path.write_text(json.dumps(damaged))
            with pytest.raises(ReconcilerError) as failure:
                read_plan(str(path))
            assert failure.value.code is ErrorCode.PlanFileInvalid, key


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "plan"
    target.mkdir()
    with pytest.raises(ReconcilerError, match="cannot write the plan"):
        write_plan(str(target), SavedPlan.of(BEFORE, INSTANCE, PlanOptions()))
    assert list(tmp_path.iterdir()) == [target]
