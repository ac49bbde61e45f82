"""Whatever depends on whatever: plans converge, and start nothing before its time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.action import Create, Plan, Recreate, Restart, Start
from reconciler.model.frozen import replace
from reconciler.model.spec import Dependency, DependencyCondition, DesiredState, Kind, Spec
from reconciler.model.state import Status
from reconciler.model.world import Desired, World
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.test_convergence import NAMES, cases
from tests.unit.planning.world_model import (
    NOW,
    all_limits,
    apply_plan,
    make_desired,
    make_exit,
    make_observed,
    make_spec,
    make_world,
)

GHOST = "ghost"
# Three for one container, and for each link of a chain one more to see that it may start.
MAX_PASSES = 3 + 2 * len(NAMES)

Case = tuple[Desired, World, PlanOptions]


@st.composite
def dependencies(draw: st.DrawFn, names: list[str]) -> tuple[Dependency, ...]:
    chosen = draw(st.lists(st.sampled_from([*names, GHOST]), unique=True, max_size=3))
    return tuple(
        Dependency(
            name=name,
            condition=draw(st.sampled_from(list(DependencyCondition))),
            restart=draw(st.booleans()),
        )
        for name in sorted(chosen)
    )


@st.composite
def linked_cases(draw: st.DrawFn) -> Case:
    """Desired specs depend on later names alone, as cycles are refused; recorded ones on any."""
    desired, world, options = draw(cases())
    specs = {
        name: replace(spec, depends_on=draw(dependencies([one for one in NAMES if one > name])))
        for name, spec in desired.specs.items()
    }
    containers = {}
    for name, observed in world.containers.items():
        spec = observed.spec
        if spec is not None:
            same = draw(st.booleans()) and name in specs
            links = specs[name].depends_on if same else draw(dependencies(NAMES))
            spec = replace(spec, depends_on=links)
        runs = draw(st.dictionaries(st.sampled_from(NAMES), st.none() | st.just(NOW - 3600)))
        containers[name] = replace(observed, spec=spec, runs=runs)
    return replace(desired, specs=specs), replace(world, containers=containers), options


def plan_of(case: Case) -> Plan:
    desired, world, options = case
    return make_plan(desired, world, all_limits(desired, world), options)


def end_jobs(world: World) -> World:
    """Return the world once every job that runs has ended with 0."""
    ended = {
        name: replace(one, status=Status.STOPPED, last_exit=make_exit(0), pid=None, limits={})
        for name, one in world.containers.items()
        if one.spec is not None and one.spec.kind is Kind.JOB and one.status is Status.RUNNING
    }
    return replace(world, containers={**world.containers, **ended})


@given(linked_cases())
def test_plans_converge_with_dependencies_of_every_kind(case: Case) -> None:
    desired, world, options = case
    for _ in range(MAX_PASSES):
        plan = plan_of((desired, world, options))
        names = [action.name for action in plan.actions]
        assert len(names) == len(set(names))
        assert not set(names) & {wait.name for wait in plan.waits}
        world = apply_plan(plan, world)
    assert plan_of((desired, world, options)).actions == ()


@given(linked_cases())
def test_plans_converge_while_jobs_end(case: Case) -> None:
    desired, world, options = case
    for _ in range(MAX_PASSES + len(NAMES)):
        world = end_jobs(apply_plan(plan_of((desired, world, options)), world))
    assert plan_of((desired, world, options)).actions == ()


@given(linked_cases())
def test_nothing_is_started_before_what_it_depends_on(case: Case) -> None:
    """Action by action, in order: when one starts, its dependencies are as it asks for."""
    desired, world, options = case
    for _ in range(3):
        plan = plan_of((desired, world, options))
        for action in plan.actions:
            if isinstance(action, Create | Recreate | Start | Restart):
                assert_may_start(action.spec, world)
            world = apply_plan(replace(plan, actions=(action,)), world)


def assert_may_start(spec: Spec, world: World) -> None:
    if spec.state is DesiredState.STOPPED:
        return
    for one in spec.depends_on:
        observed = world.containers.get(one.name)
        assert observed is not None
        has_ended = observed.last_exit is not None and observed.last_exit.is_success()
        is_over = observed.status is Status.STOPPED and has_ended
        if one.condition is DependencyCondition.COMPLETED:
            assert is_over
        elif one.condition is DependencyCondition.READY:
            assert observed.status is Status.RUNNING
        else:
            assert observed.status is Status.RUNNING or is_over


@given(linked_cases())
def test_turns_are_in_order_and_what_comes_after_is_in_a_later_one(case: Case) -> None:
    plan = plan_of(case)
    turns = {action.name: action.turn() for action in plan.actions}
    assert list(turns.values()) == sorted(turns.values())
    for action in plan.actions:
        assert all(turns[name] < action.turn() for name in action.after)


def test_what_an_update_or_a_restart_leaves_paused_is_not_there_to_depend_on() -> None:
    ready = Dependency(name="db", condition=DependencyCondition.READY, restart=False)
    app = make_spec("app", depends_on=(ready,))
    old, adjusted = make_spec("db"), make_spec("db", oom_score_adj=5)
    for db, recorded in ((adjusted, adjusted), (make_spec("db", workdir="/srv"), old)):
        before = make_observed(recorded, paused_at=NOW, process={"oomScoreAdj": 0})
        plan = plan_of((make_desired(app, db), make_world(before), PlanOptions()))
        assert [action.name for action in plan.actions] == ["db"]
        (wait,) = plan.waits
        assert (wait.name, "it is to be paused" in wait.reason) == ("app", True)
