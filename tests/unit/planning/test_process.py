"""Drift of a running init: only what it has beyond its spec, and only what it cannot have taken."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.action import ChangeClass, FieldChange, Update
from reconciler.model.config import Rlimit, Rootfs, SeccompMode, Security
from reconciler.model.spec import DriftPolicy, Spec
from reconciler.model.value import Value
from reconciler.model.world import Observed
from reconciler.planning.diff import diff
from reconciler.planning.drift import enforced
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import make_desired, make_observed, make_spec, make_world

AS_STARTED: dict[str, Value] = {
    "user": (65534, 65534, 65534),
    "security.capabilities": (),
    "security.noNewPrivileges": True,
    "security.seccomp": "default",
}


def seen(spec: Spec, **shown: Any) -> Observed:
    fields = {path.replace("_", "."): value for path, value in shown.items()}
    return make_observed(spec, limits={}, process=AS_STARTED | fields)


def drift(spec: Spec, **shown: Any) -> list[tuple[str, Value, Value, str]]:
    return [
        (one.field, one.desired, one.observed, one.change_class.value)
        for one in diff(spec, seen(spec, **shown), {})
    ]


def test_an_init_as_it_was_started_does_not_drift() -> None:
    assert drift(make_spec()) == []


def test_more_capabilities_than_given_are_told_and_fewer_are_not() -> None:
    spec = make_spec(security=Security(capabilities=("CHOWN", "KILL")))
    more = ("CHOWN", "SYS_ADMIN")
    assert drift(spec, security_capabilities=("CHOWN",)) == []
    assert drift(spec, security_capabilities=more) == [
        ("security.capabilities", ("CHOWN", "KILL"), more, "restart")
    ]


def test_a_lost_filter_or_no_new_privs_is_told_and_an_own_one_is_not() -> None:
    assert drift(make_spec(), security_seccomp="unconfined", security_noNewPrivileges=False) == [
        ("security.noNewPrivileges", True, False, "restart"),
        ("security.seccomp", "default", "unconfined", "restart"),
    ]
    open_spec = make_spec(
        security=Security(no_new_privileges=False, seccomp=SeccompMode.UNCONFINED)
    )
    assert drift(open_spec) == []


@pytest.mark.parametrize(
    ("fields", "is_told"),
    [
        ({}, True),
        ({"user": "1000:1000"}, True),
        ({"user": "0:0"}, False),
        ({"user": "root"}, False),
        ({"rootfs": Rootfs(path="/srv/r")}, False),
        ({"security": Security(capabilities=("SETUID",))}, False),
        ({"security": Security(no_new_privileges=False)}, False),
    ],
)
def test_a_user_id_of_0_is_told_where_nothing_can_have_given_it(
    fields: dict[str, Any], is_told: bool
) -> None:
    found = drift(make_spec(**fields), user=(1000, 1000, 0))
    assert [path for path, *_ in found] == ["user"] * is_told
    assert drift(make_spec(**fields), user=(7, 7, 7)) == []


def test_no_plan_acts_on_what_is_only_told() -> None:
    observed = seen(make_spec(), security_seccomp="unconfined")
    assert enforced(diff(make_spec(), observed, {})) == ()


def test_an_oom_score_is_put_right_live_where_the_spec_gives_one() -> None:
    spec = make_spec(oom_score_adj=100)
    observed = seen(spec, oomScoreAdj=-1000)
    (action,) = make_plan(make_desired(spec), make_world(observed), {}, PlanOptions()).actions
    assert isinstance(action, Update)
    assert action.changes == (
        FieldChange(
            field="oomScoreAdj",
            desired=100,
            observed=-1000,
            change_class=ChangeClass.LIVE,
            policy=DriftPolicy.ENFORCE,
        ),
    )
    assert drift(make_spec(), oomScoreAdj=-1000) == []


@pytest.mark.parametrize(
    ("shown", "is_told"),
    [((10, 20), False), ((20, 20), False), ((1, 5), False), ((10, 21), True), ((None, None), True)],
)
def test_a_hard_limit_above_the_spec_is_put_right_and_one_below_is_the_programs_own(
    shown: tuple[int | None, int | None], is_told: bool
) -> None:
    spec = make_spec(rlimits=(Rlimit(type="NOFILE", soft=10, hard=20),))
    found = drift(spec, rlimits_nofile=shown)
    assert found == [("rlimits.nofile", (10, 20), shown, "live")] * is_told


def test_a_changed_spec_is_told_once_and_by_its_own_rule() -> None:
    old, new = make_spec(oom_score_adj=1), make_spec(oom_score_adj=2)
    (change,) = diff(new, seen(old, oomScoreAdj=1), {})
    assert (change.field, change.change_class) == ("oomScoreAdj", ChangeClass.RESTART)
