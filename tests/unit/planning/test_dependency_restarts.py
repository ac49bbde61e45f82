"""What restarts with a new run of what it depends on."""

from __future__ import annotations

from reconciler.errors import ErrorCode
from reconciler.model.frozen import replace
from reconciler.model.spec import (
    Kind,
)
from reconciler.model.state import Status
from reconciler.model.world import Failure, Problem
from tests.unit.planning.dependent import NEVER, PROBES, needs, plan_of, turns, wait_of
from tests.unit.planning.world_model import (
    NOW,
    apply_plan,
    make_desired,
    make_exit,
    make_observed,
    make_spec,
    make_world,
)


def test_only_what_declares_it_restarts_with_a_new_run_of_its_dependency() -> None:
    db, web, other = make_spec("db"), needs("web", "db!"), needs("other", "db")
    runs = {"db": NOW - 9}
    world = make_world(
        make_observed(db), make_observed(web, runs=runs), make_observed(other, runs={})
    )
    desired = make_desired(db, web, other)
    plan = plan_of(desired, world)
    assert turns(plan) == [["restart web"]]
    assert plan.actions[0].reason == "it restarts with db"
    assert plan_of(desired, apply_plan(plan, world)).actions == ()


def test_the_clock_has_no_part_in_it() -> None:
    db, web = make_spec("db"), needs("web", "db!")
    ahead = make_observed(db, started_at=NOW + 3600)
    for run in (NOW - 9, NOW + 9999, None):
        world = make_world(ahead, make_observed(web, started_at=NOW - 1, runs={"db": run}))
        plan = plan_of(make_desired(db, web), world)
        assert turns(plan) == [["restart web"]]
        assert plan_of(make_desired(db, web), apply_plan(plan, world)).actions == ()
    known = make_observed(web, started_at=NOW - 1, runs={"db": NOW + 3600})
    assert plan_of(make_desired(db, web), make_world(ahead, known)).actions == ()


def test_a_chain_restarts_in_order() -> None:
    db, app, web = make_spec("db"), needs("app", "db!"), needs("web", "app!")
    stopped = make_observed(db, Status.STOPPED, last_exit=make_exit(code=1, at=NOW - 60))
    at = NOW - 3600
    world = make_world(
        stopped, make_observed(app, runs={"db": at}), make_observed(web, runs={"app": at})
    )
    plan = plan_of(make_desired(db, app, web), world)
    assert turns(plan) == [["stop web"], ["start db"], ["restart app"]]
    assert plan.actions[2].after == ("db",)
    world = apply_plan(plan, world)
    plan = plan_of(make_desired(db, app, web), world)
    assert turns(plan) == [["start web"]]
    assert plan_of(make_desired(db, app, web), apply_plan(plan, world)).actions == ()


def test_what_restarts_with_another_stops_before_it_and_starts_after_it() -> None:
    old, db = make_spec("db"), make_spec("db", command=("/bin/new",))
    app, web, other = needs("app", "db!"), needs("web", "app!"), needs("other", "db")
    at = NOW - 3600
    world = make_world(
        make_observed(old),
        make_observed(app, runs={"db": at}),
        make_observed(web, runs={"app": at}),
        make_observed(other, runs={}),
    )
    desired = make_desired(db, app, web, other)
    plan = plan_of(desired, world)
    assert turns(plan) == [["stop web"], ["stop app"], ["restart db"]]
    world = apply_plan(plan, world)
    plan = plan_of(desired, world)
    assert turns(plan) == [["start app"], ["start web"]]
    assert plan_of(desired, apply_plan(plan, world)).actions == ()


def test_nothing_is_stopped_for_a_restart_that_has_failed_lately() -> None:
    old, db, web = make_spec("db"), make_spec("db", command=("/bin/new",)), needs("web", "db!")
    problem = Problem.of(ErrorCode.CommandNotFound, "no such command")
    failure = Failure(verb="restart", spec_digest="other", count=1, at=NOW - 9, problem=problem)
    world = make_world(
        make_observed(old),
        make_observed(web, runs={"db": NOW - 3600}),
        failures={"db": failure},
    )
    assert turns(plan_of(make_desired(db, web), world)) == [["restart db"], ["restart web"]]


def test_a_restart_waits_until_the_condition_holds_again() -> None:
    db, web = make_spec("db", probes=PROBES), needs("web", "db!", condition="ready")
    world = make_world(make_observed(db), make_observed(web, runs={"db": 1.0}))
    plan = plan_of(make_desired(db, web), world)
    assert plan.actions == ()
    assert wait_of(plan)[1]
    limited = replace(web, labels={"a": "b"})
    assert turns(plan_of(make_desired(db, limited), world)) == [["update web"]]


def test_a_new_run_of_a_job_restarts_what_depends_on_its_end() -> None:
    job = make_spec("db", kind=Kind.JOB, restart=NEVER)
    web = needs("web", "db!", condition="completed")
    done = make_observed(job, Status.STOPPED, last_exit=make_exit(code=0))
    plan = plan_of(make_desired(job, web), make_world(done, make_observed(web, runs={"db": 1.0})))
    assert turns(plan) == [["restart web"]]


def test_what_is_paused_or_gone_or_never_noted_asks_for_no_restart() -> None:
    db, web = make_spec("db"), needs("web", "db!")
    old = {"db": NOW - 9}
    paused = make_observed(web, Status.PAUSED, runs=old, paused_at=NOW)
    assert plan_of(make_desired(db, web), make_world(make_observed(db), paused)).actions == ()
    unnoted = make_observed(web)
    assert plan_of(make_desired(db, web), make_world(make_observed(db), unnoted)).actions == ()
    alone = make_world(make_observed(web, runs=old))
    assert plan_of(make_desired(web), alone).actions == ()
