"""What a container waits for before it starts, in which order things go, what restarts what."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from reconciler.errors import ErrorCode
from reconciler.model.frozen import replace
from reconciler.model.health import Health, ProbeResult, probe_identity
from reconciler.model.spec import (
    DesiredState,
    Kind,
    Restart,
    Suspend,
)
from reconciler.model.state import Status
from reconciler.model.world import Failure, Problem, RestartMemory
from reconciler.planning.order import dependency_order, group_waves, start_waves, stop_waves
from tests.unit.planning.dependent import NEVER, PROBE, PROBES, needs, plan_of, turns, wait_of
from tests.unit.planning.world_model import (
    NOW,
    apply_plan,
    make_desired,
    make_exit,
    make_observed,
    make_spec,
    make_world,
)

# --- order ---------------------------------------------------------------------------------


def test_in_one_plan_what_is_depended_on_starts_before() -> None:
    specs = [needs("a", "b", "c"), needs("b", "d"), needs("c", "d"), make_spec("d"), make_spec("e")]
    plan = plan_of(make_desired(*specs), make_world())
    assert turns(plan) == [["create d", "create e"], ["create b", "create c"], ["create a"]]
    assert {one.name: one.after for one in plan.actions} == {
        "a": ("b", "c"),
        "b": ("d",),
        "c": ("d",),
        "d": (),
        "e": (),
    }


def test_what_runs_already_is_not_waited_for_in_order() -> None:
    db = make_spec("db")
    plan = plan_of(make_desired(needs("web", "db"), db), make_world(make_observed(db)))
    assert turns(plan) == [["create web"]]
    assert plan.actions[0].after == ()


def test_stops_and_destroys_go_the_other_way_by_the_recorded_specs_too() -> None:
    db, app, web = make_spec("db"), needs("app", "db"), needs("web", "app")
    world = make_world(*map(make_observed, (db, app, web)))
    gone = plan_of(make_desired(), world, allow_empty=True)
    assert turns(gone) == [["destroy web"], ["destroy app"], ["destroy db"]]
    stopped = replace(web, state=DesiredState.STOPPED, depends_on=())
    mixed = plan_of(make_desired(stopped, app), world)
    assert turns(mixed) == [["stop web"], ["destroy db"]]


def test_the_order_holds_across_what_stays() -> None:
    db, app, web = make_spec("db"), needs("app", "db"), needs("web", "app")
    world = make_world(*map(make_observed, (db, app, web)))
    plan = plan_of(make_desired(app), world, max_prune_percent=100)
    assert turns(plan) == [["destroy web"], ["destroy db"]]


def test_a_chain_of_thousands_is_planned_at_once() -> None:
    names = [f"n{number:05}" for number in range(5000)]
    specs = [needs(*pair) for pair in pairwise(names)] + [make_spec(names[-1])]
    plan = plan_of(make_desired(*specs), make_world())
    assert [action.name for action in plan.actions] == names[::-1]
    assert [action.wave for action in plan.actions] == list(range(5000))


def test_waves_of_a_graph_with_a_cycle_come_to_an_end() -> None:
    graph = {"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a", "ghost"]}
    assert sorted(dependency_order(graph)) == ["a", "b", "c", "d"]
    assert start_waves(graph)["d"] > start_waves(graph)["a"]
    assert stop_waves(graph)["a"] > stop_waves(graph)["d"]
    assert group_waves(["x", "d", "a"], {"a": 1}) == [["x", "d"], ["a"]]


# --- conditions ----------------------------------------------------------------------------


def test_a_name_that_nothing_has_is_waited_for_with_the_nearest_one_told() -> None:
    plan = plan_of(make_desired(needs("web", "dbx"), make_spec("db")), make_world())
    assert wait_of(plan) == (
        "it waits for dbx to be started: no file gives this name; did you mean db?",
        False,
    )
    assert plan.problems == ()


def test_a_container_of_another_source_counts_as_it_is() -> None:
    other = make_observed(make_spec("db", source="/srv/other"))
    plan = plan_of(make_desired(needs("web", "db")), make_world(other))
    assert turns(plan) == [["create web"]]


@pytest.mark.parametrize(
    ("observed", "why"),
    [
        ({"status": Status.CREATED}, "it is created"),
        ({"status": Status.PAUSED}, "it is paused"),
        ({"status": Status.STOPPED}, "it ended (exit code 1) and is not started again"),
        ({"status": Status.STOPPED, "memory": RestartMemory(is_stopped=True)}, "it was stopped"),
    ],
)
def test_a_foreign_container_that_does_not_run_is_told_as_it_is(
    observed: dict[str, Any], why: str
) -> None:
    other = make_observed(make_spec("db", source="/srv/other"), **observed)
    plan = plan_of(make_desired(needs("web", "db")), make_world(other))
    assert wait_of(plan) == (f"it waits for db to be started: {why}", False)


def test_a_dependency_that_is_to_be_stopped_or_paused_or_goes_is_not_started() -> None:
    db, web = make_spec("db"), needs("web", "db")
    for state, why in [
        (DesiredState.STOPPED, "it is to be stopped"),
        (DesiredState.PAUSED, "it is to be paused"),
    ]:
        desired = make_desired(web, replace(db, state=state))
        plan = plan_of(desired, make_world(make_observed(db)))
        assert wait_of(plan) == (f"it waits for db to be started: {why}", False)
        after = plan_of(desired, apply_plan(plan, make_world(make_observed(db))))
        assert after.actions == ()
        assert wait_of(after)[1] is False
    plan = plan_of(make_desired(web), make_world(make_observed(db)))
    assert wait_of(plan)[0] == "it waits for db to be started: it is to be removed"
    fresh = plan_of(make_desired(web, replace(db, state=DesiredState.STOPPED)), make_world())
    assert wait_of(fresh)[0].endswith("its spec has `state: stopped`")


def test_a_suspended_dependency_is_told() -> None:
    db = make_spec("db", suspend=Suspend(reason="repair"))
    plan = plan_of(make_desired(needs("web", "db"), db), make_world())
    assert wait_of(plan) == ("it waits for db to be started: it is suspended: repair", False)
    running = plan_of(make_desired(needs("web", "db"), db), make_world(make_observed(db)))
    assert turns(running) == [["create web"]]


def test_a_dependency_in_backoff_or_in_a_crash_loop_is_told() -> None:
    db, web = make_spec("db"), needs("web", "db")
    ended = make_observed(
        db,
        Status.STOPPED,
        started_at=NOW - 1,
        last_exit=make_exit(code=1),
        memory=RestartMemory(failures=2),
    )
    plan = plan_of(make_desired(web, db), make_world(ended))
    assert wait_of(plan) == (
        "it waits for db to be started: it ended: exit code 1; it is tried again",
        True,
    )
    tired = replace(db, restart=Restart(max_attempts=2))
    looping = plan_of(make_desired(web, tired), make_world(replace(ended, spec=tired)))
    reason, can_come = wait_of(looping)
    assert "cannot keep db running" in reason
    assert not can_come


def test_a_start_that_failed_holds_up_what_depends_on_it() -> None:
    db, web = make_spec("db"), needs("web", "db")
    problem = Problem.of(ErrorCode.CommandNotFound, "cannot start db: no such command")
    failure = Failure(verb="create", spec_digest="d1", count=1, at=NOW, problem=problem)
    plan = plan_of(make_desired(web, db), make_world(failures={"db": failure}))
    assert wait_of(plan) == (
        "it waits for db to be started: cannot start db: no such command; it is tried again",
        False,
    )


def test_waiting_goes_up_a_chain_and_so_does_whether_it_may_end() -> None:
    specs = [needs("web", "app"), needs("app", "db"), needs("db", "ghost")]
    plan = plan_of(make_desired(*specs), make_world())
    assert plan.actions == ()
    assert [(one.name, one.can_come) for one in plan.waits] == [
        ("app", False),
        ("db", False),
        ("web", False),
    ]
    assert "it waits in turn, `reconciler why app` tells why" in wait_of(plan)[0]


def test_ready_is_what_the_probes_say() -> None:
    db, web = make_spec("db", probes=PROBES), needs("web", "db", condition="ready")
    desired = make_desired(web, db)
    fresh = plan_of(desired, make_world())
    assert turns(fresh) == [["create db"]]
    assert wait_of(fresh) == ("it waits for db to be ready: it is yet to be started", True)
    runs = make_observed(db)
    starting = plan_of(desired, make_world(runs))
    assert wait_of(starting) == (
        "it waits for db to be ready: its readiness probe has not passed yet",
        True,
    )
    assert runs.pid is not None
    assert runs.started_at is not None
    result = ProbeResult(check=probe_identity(PROBE), passes=False, failures=3, message="refused")
    health = Health(pid=runs.pid, started_at=runs.started_at, readiness=result)
    failing = plan_of(desired, make_world(runs, health={"db": health}))
    assert wait_of(failing) == (
        "it waits for db to be ready: its readiness probe failed 3 times in a row: refused",
        True,
    )
    passing = replace(health, readiness=replace(result, passes=True, failures=0))
    assert turns(plan_of(desired, make_world(runs, health={"db": passing}))) == [["create web"]]


def test_without_probes_what_runs_is_ready() -> None:
    desired = make_desired(needs("web", "db", condition="ready"), make_spec("db"))
    assert turns(plan_of(desired, make_world())) == [["create db"], ["create web"]]


def test_completed_is_an_end_with_0_under_the_present_spec() -> None:
    job = make_spec("db", kind=Kind.JOB, restart=NEVER)
    web = needs("web", "db", condition="completed")
    desired = make_desired(web, job)
    assert wait_of(plan_of(desired, make_world()))[1]
    running = plan_of(desired, make_world(make_observed(job)))
    assert wait_of(running) == ("it waits for db to be completed: it still runs", True)
    failed = make_observed(job, Status.STOPPED, last_exit=make_exit(code=3))
    assert wait_of(plan_of(desired, make_world(failed))) == (
        "it waits for db to be completed: it ended (exit code 3) and is not started again",
        False,
    )
    done = make_observed(job, Status.STOPPED, last_exit=make_exit(code=0))
    assert turns(plan_of(desired, make_world(done))) == [["create web"]]
    another = replace(job, config=replace(job.config, command=("/bin/other",)), digest="d2")
    changed = plan_of(make_desired(web, another), make_world(done))
    assert turns(changed) == [["start db"]]
    assert wait_of(changed)[0] == "it waits for db to be completed: it is yet to be started"


def test_what_is_always_started_again_never_completes() -> None:
    desired = make_desired(needs("web", "db", condition="completed"), make_spec("db"))
    reason, can_come = wait_of(plan_of(desired, make_world()))
    assert reason.endswith("whenever it ends; make it `kind: Job`")
    assert not can_come


def test_a_job_that_has_ended_well_counts_as_started() -> None:
    job = make_spec("db", kind=Kind.JOB, restart=NEVER)
    done = make_observed(job, Status.STOPPED, last_exit=make_exit(code=0))
    plan = plan_of(make_desired(needs("web", "db"), job), make_world(done))
    assert turns(plan) == [["create web"]]


def test_what_runs_is_left_alone_when_its_dependency_goes() -> None:
    db, web = make_spec("db"), needs("web", "db", "ghost")
    stopped = replace(db, state=DesiredState.STOPPED)
    plan = plan_of(make_desired(web, stopped), make_world(make_observed(web), make_observed(db)))
    assert turns(plan) == [["stop db"]]
    assert plan.waits == ()


def test_what_runs_keeps_its_spec_until_it_could_be_started_with_another() -> None:
    web = needs("web", "ghost")
    for changed in (
        replace(web, config=replace(web.config, command=("/bin/other",))),
        replace(web, kind=Kind.JOB),
    ):
        plan = plan_of(make_desired(changed), make_world(make_observed(web)))
        assert plan.actions == ()
        assert "no file gives this name" in wait_of(plan)[0]


def test_what_is_not_to_run_waits_for_nothing() -> None:
    web = needs("web", "ghost", state=DesiredState.STOPPED)
    assert turns(plan_of(make_desired(web), make_world())) == [["create web"]]
