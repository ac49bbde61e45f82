"""What changed files ask for."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.action import (
    BaseAction,
    ChangeClass,
    React,
    Restart,
    Resume,
    Start,
    StopAction,
    Update,
)
from reconciler.model.config import Mount, MountType
from reconciler.model.frozen import replace
from reconciler.model.spec import (
    DesiredState,
    Kind,
    Reaction,
    ReactionKind,
    Reference,
    RestartPolicy,
    Spec,
)
from reconciler.model.spec import Restart as Restart_
from reconciler.model.state import Status
from reconciler.model.world import Observed
from reconciler.planning.diff import diff
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import (
    NOW,
    all_limits,
    limits_of,
    make_desired,
    make_observed,
    make_spec,
    make_world,
)

IGNORE = Reaction(kind=ReactionKind.IGNORE)
RESTART = Reaction(kind=ReactionKind.RESTART)
HUP = Reaction(kind=ReactionKind.SIGNAL, signal="HUP")
RELOAD = Reaction(kind=ReactionKind.EXEC, command=("/bin/reload",))
MOUNTS = (
    Mount(type=MountType.BIND, source="/conf", target="/etc/app"),
    Mount(type=MountType.BIND, source="/certs", target="/certs"),
)


def conf(digest: str | None, reaction: Reaction = HUP, path: str = "/conf") -> Reference:
    return Reference(path=path, reaction=reaction, digest=digest)


def env_file(digest: str | None, *names: str, reaction: Reaction = IGNORE) -> Reference:
    return Reference(path="/a.env", reaction=reaction, digest=digest, env_names=names)


def spec_with(*references: Reference, **fields: Any) -> Spec:
    return make_spec(references=references, mounts=MOUNTS, **fields)


def plan(spec: Spec, observed: Observed) -> Any:
    """Return the one action, None when there is nothing to do now."""
    desired, world = make_desired(spec), make_world(observed)
    actions = make_plan(desired, world, all_limits(desired, world), PlanOptions()).actions
    return actions[0] if actions else None


def changes(spec: Spec, observed: Observed) -> list[tuple[str, ChangeClass]]:
    found = diff(spec, observed, limits_of(spec))
    return [(change.describe(), change.change_class) for change in found]


@pytest.mark.parametrize(
    ("reaction", "kind"), [(HUP, React), (RELOAD, React), (RESTART, Restart), (IGNORE, Update)]
)
def test_a_changed_file_asks_for_what_is_declared(
    reaction: Reaction, kind: type[BaseAction]
) -> None:
    action = plan(spec_with(conf("2", reaction)), make_observed(spec_with(conf("1", reaction))))
    assert isinstance(action, kind)
    assert action.describe() == f"{action.verb} web: mounts./conf content 1 -> 2"


def test_an_unchanged_file_asks_for_nothing() -> None:
    assert plan(spec_with(conf("1")), make_observed(spec_with(conf("1")))) is None


def test_several_files_ask_for_each_reaction_once() -> None:
    def both(digest: str) -> Spec:
        return spec_with(
            conf(digest, RELOAD),
            conf(digest, HUP),
            conf(digest, HUP, "/certs"),
            conf("1", path="/x"),
        )

    action = plan(both("2"), make_observed(both("1")))
    assert action.reactions == (RELOAD, HUP)


def test_a_restart_anywhere_covers_all() -> None:
    before = spec_with(conf("1"), conf("1", RESTART, "/certs"))
    action = plan(spec_with(conf("2"), conf("2", RESTART, "/certs")), make_observed(before))
    assert isinstance(action, Restart)
    action = plan(spec_with(conf("2"), command=("new",)), make_observed(spec_with(conf("1"))))
    assert isinstance(action, Restart)


def test_a_file_that_the_container_does_not_see_is_shown_to_it_by_a_restart() -> None:
    observed = make_observed(spec_with(conf("1")), detached=frozenset({"/conf"}))
    assert isinstance(plan(spec_with(conf("2")), observed), Restart)
    assert plan(spec_with(conf("1")), observed) is None


def test_a_source_that_is_gone_asks_for_nothing_until_it_is_back() -> None:
    observed = make_observed(spec_with(conf("1")))
    assert plan(spec_with(conf(None)), observed) is None
    assert isinstance(plan(spec_with(conf("2")), observed), React)


@pytest.mark.parametrize("status", [Status.PAUSED, Status.PAUSING])
def test_while_it_is_paused_a_reaction_waits_and_all_else_is_done(status: Status) -> None:
    observed = make_observed(spec_with(conf("1"), state=DesiredState.PAUSED), status)
    spec = spec_with(conf("2"), state=DesiredState.PAUSED)
    assert plan(spec, observed) is None
    action = plan(spec_with(conf("2"), state=DesiredState.PAUSED, labels={"a": "b"}), observed)
    assert isinstance(action, Update)
    assert action.spec.references == (conf("1"),)
    assert [one.field for one in action.changes] == ["labels.a"]


def test_what_waited_is_done_once_it_runs_again() -> None:
    observed = make_observed(spec_with(conf("1")), Status.PAUSED)
    action = plan(spec_with(conf("2")), observed)
    assert isinstance(action, Resume)
    assert action.spec.references == (conf("1"),)
    resumed = make_observed(action.spec)
    assert isinstance(plan(spec_with(conf("2")), resumed), React)


def test_what_was_frozen_and_is_to_stay_paused_keeps_what_it_is_to_react_to() -> None:
    before = spec_with(conf("1"), state=DesiredState.PAUSED)
    observed = make_observed(before, Status.PAUSED, frozen_at=NOW)
    action = plan(spec_with(conf("2"), state=DesiredState.PAUSED), observed)
    assert isinstance(action, Update)
    assert action.spec.references == (conf("1"),)


def test_before_a_stop_nothing_is_reacted_to() -> None:
    spec = spec_with(conf("2"), state=DesiredState.STOPPED)
    assert isinstance(plan(spec, make_observed(spec_with(conf("1")))), StopAction)


def test_for_what_has_ended_a_change_is_only_noted() -> None:
    never = Restart_(policy=RestartPolicy.NEVER)
    ended = make_observed(spec_with(conf("1"), restart=never), Status.STOPPED)
    spec = spec_with(conf("2"), restart=never)
    assert isinstance(plan(spec, ended), Update)
    assert changes(spec, ended) == [("mounts./conf content 1 -> 2", ChangeClass.RECORD)]


def test_a_job_that_has_ended_runs_again_when_a_file_changes_that_asks_for_a_restart() -> None:
    job = spec_with(conf("1", RESTART), kind=Kind.JOB, restart=Restart_(policy=RestartPolicy.NEVER))
    ended = make_observed(job, Status.STOPPED)
    assert isinstance(plan(replace(job, references=(conf("2", RESTART),)), ended), Start)


def test_a_new_declaration_is_noted_and_asks_for_nothing() -> None:
    observed = make_observed(spec_with())
    spec = spec_with(conf("1"))
    assert changes(spec, observed) == [
        ("mounts./conf onChange none -> signal HUP", ChangeClass.RECORD)
    ]
    assert isinstance(plan(spec, observed), Update)
    assert changes(spec_with(), make_observed(spec)) == [
        ("mounts./conf onChange signal HUP -> none", ChangeClass.RECORD)
    ]
    assert changes(spec_with(conf("1", RELOAD)), make_observed(spec)) == [
        ("mounts./conf onChange signal HUP -> exec /bin/reload", ChangeClass.RECORD)
    ]


def test_variables_of_an_env_file_without_restart_are_for_the_next_start() -> None:
    observed = make_observed(spec_with(env_file("1", "A", "B"), env={"A": "1", "B": "1", "C": "1"}))
    spec = spec_with(env_file("2", "A", "N"), env={"A": "2", "N": "1", "C": "1"})
    assert changes(spec, observed) == [
        ("env.A (hidden) -> (hidden)", ChangeClass.RECORD),
        ("env.B (hidden) -> none", ChangeClass.RECORD),
        ("env.N none -> (hidden)", ChangeClass.RECORD),
        ("envFile./a.env content 1 -> 2", ChangeClass.RECORD),
    ]
    assert isinstance(plan(spec, observed), Update)


def test_a_variable_that_moves_between_the_env_file_and_the_spec_asks_for_a_restart() -> None:
    by_file = spec_with(env_file("1", "A"), env={"A": "1"})
    by_spec = spec_with(env_file("2"), env={"A": "2"})
    assert isinstance(plan(by_spec, make_observed(by_file)), Restart)
    assert isinstance(plan(by_file, make_observed(by_spec)), Restart)


def test_an_env_file_with_a_signal_gives_it_and_keeps_the_values_for_the_next_start() -> None:
    before = spec_with(env_file("1", "A", reaction=HUP), env={"A": "1"})
    after = spec_with(env_file("2", "A", reaction=HUP), env={"A": "2"})
    action = plan(after, make_observed(before))
    assert isinstance(action, React)
    assert (action.reactions, action.spec.config.env) == ((HUP,), {"A": "2"})


def test_an_optional_env_file_that_is_gone_is_a_change() -> None:
    before = spec_with(env_file("1", "A", reaction=HUP), env={"A": "1"})
    assert isinstance(plan(spec_with(env_file(None, reaction=HUP)), make_observed(before)), React)
