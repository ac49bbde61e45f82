"""What is pruned, and every guard against pruning too much."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.action import Destroy, Plan
from reconciler.model.frozen import replace
from reconciler.model.spec import Origin
from reconciler.model.state import Status
from reconciler.model.world import Source, SourceStatus
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import (
    SOURCE,
    make_desired,
    make_observed,
    make_spec,
    make_world,
)

OTHER = "/srv/other"


def names(count: int) -> list[str]:
    return [f"c{number:03}" for number in range(count)]


def plan_prune(
    kept: int, owned: int, desired: dict[str, Any] | None = None, **options: Any
) -> Plan:
    """Plan for a source that owns `owned` containers and has files for the first `kept`."""
    specs = [make_spec(name) for name in names(owned)]
    world = make_world(*map(make_observed, specs))
    return make_plan(
        make_desired(*specs[:kept], **(desired or {})), world, {}, PlanOptions(**options)
    )


def problems(plan: Plan) -> list[str]:
    return [problem.name for problem in plan.problems]


def source(status: SourceStatus, path: str = SOURCE) -> dict[str, Any]:
    return {"sources": (Source(path=path, status=status),)}


def test_a_container_that_no_file_names_is_destroyed_with_its_own_spec() -> None:
    (action,) = plan_prune(1, 2).actions
    assert isinstance(action, Destroy)
    assert action.spec == make_spec("c001")
    assert action.describe() == f"destroy c001: no file in {SOURCE} names it"


@pytest.mark.parametrize(
    ("kept", "owned", "percent", "allowed"),
    [
        (1, 2, 50, True),
        (1, 3, 50, True),  # two may always go
        (1, 3, 0, True),
        (1, 4, 50, False),
        (3, 6, 50, True),  # exactly the share
        (2, 6, 50, False),
        (2, 6, 67, True),
        (97, 100, 2, False),
        (97, 100, 3, True),
        (1, 100, 100, True),
    ],
)
def test_more_than_the_share_is_refused_as_a_whole(
    kept: int, owned: int, percent: int, allowed: bool
) -> None:
    plan = plan_prune(kept, owned, max_prune_percent=percent)
    assert len(plan.actions) == (owned - kept if allowed else 0)
    assert problems(plan) == ([] if allowed else ["PruneRefused"])


def test_a_refusal_names_the_figures_and_the_flag() -> None:
    (problem,) = plan_prune(1, 10).problems
    assert problem.message == (
        "cannot prune 9 of the 10 containers of /etc/specs: more than 50 percent; "
        "if that is meant, use --max-prune PERCENT"
    )


@pytest.mark.parametrize("owned", [1, 2, 10])
def test_a_source_that_became_empty_prunes_nothing_unless_told_to(owned: int) -> None:
    plan = plan_prune(0, owned)
    assert not plan.actions
    assert problems(plan) == ["SourceEmpty"]
    assert "--allow-empty" in plan.problems[0].message
    assert len(plan_prune(0, owned, allow_empty=True).actions) == owned


def test_an_empty_source_that_owns_nothing_is_fine() -> None:
    assert make_plan(make_desired(), make_world(), {}, PlanOptions()).problems == ()


@pytest.mark.parametrize("status", [SourceStatus.MISSING, SourceStatus.UNREADABLE])
def test_a_source_that_cannot_be_read_prunes_nothing_whatever_is_allowed(
    status: SourceStatus,
) -> None:
    plan = plan_prune(0, 5, source(status), allow_empty=True, max_prune_percent=100)
    assert not plan.actions
    assert plan.problems == ()  # the loader has told of it


def test_without_prune_nothing_is_destroyed_and_nothing_refused() -> None:
    plan = plan_prune(0, 5, prune=False)
    assert not plan.actions
    assert plan.problems == ()


def test_an_invalid_file_keeps_its_container() -> None:
    plan = plan_prune(1, 2, {"invalid": frozenset({"c001"})})
    assert not plan.actions
    assert plan.problems == ()


def test_a_file_that_nobody_knows_the_name_of_keeps_all_of_its_source() -> None:
    plan = plan_prune(1, 2, {"unknown_files": (f"{SOURCE}/broken.yaml",)})
    assert not plan.actions
    (problem,) = plan.problems
    assert problem.name == "PruneRefused"
    assert "/etc/specs/broken.yaml is not understood" in problem.message


def test_a_broken_file_of_another_source_does_not_hold_up_this_one() -> None:
    sources = (Source(path=SOURCE), Source(path=OTHER))
    broken = {"sources": sources, "unknown_files": (f"{OTHER}/broken.yaml",)}
    assert len(plan_prune(1, 2, broken).actions) == 1


def test_a_container_of_another_source_is_left_alone() -> None:
    world = make_world(make_observed(make_spec("theirs", source=OTHER)))
    plan = make_plan(make_desired(), world, {}, PlanOptions(allow_empty=True))
    assert not plan.actions


def test_a_container_that_moved_to_another_source_is_not_pruned_by_the_first() -> None:
    desired = make_desired(
        make_spec("web", source=OTHER), sources=(Source(path=SOURCE), Source(path=OTHER))
    )
    plan = make_plan(desired, make_world(make_observed(make_spec("web"))), {}, PlanOptions())
    assert [action.verb for action in plan.actions] == ["update"]


def test_one_file_as_a_source_prunes_what_it_alone_gave() -> None:
    """`apply pair.yaml` after one of its two documents was removed; web.yaml is not concerned."""
    file = f"{SOURCE}/pair.yaml"
    one, two = (
        replace(make_spec(name), origin=Origin(file=file, line=line))
        for name, line in (("one", 1), ("two", 9))
    )
    world = make_world(*map(make_observed, (one, two, make_spec("web"))))
    plan = make_plan(make_desired(one, sources=(Source(path=file),)), world, {}, PlanOptions())
    assert [(action.verb, action.name) for action in plan.actions] == [("destroy", "two")]


def test_one_file_of_a_directory_that_owns_the_container_may_change_it() -> None:
    before = make_observed(make_spec("web"), Status.PAUSED)
    desired = make_desired(make_spec("web"), sources=(Source(path=f"{SOURCE}/web.yaml"),))
    assert [
        action.verb for action in make_plan(desired, make_world(before), {}, PlanOptions()).actions
    ] == ["resume"]
