"""Specs that depend on one another, and what is read from a plan of theirs."""

from __future__ import annotations

from typing import Any

from reconciler.model.action import Plan, WaitKind
from reconciler.model.spec import (
    Dependency,
    DependencyCondition,
    Probe,
    Probes,
    Restart,
    RestartPolicy,
    Spec,
)
from reconciler.model.world import Desired, World
from reconciler.planning.plan import PlanOptions, make_plan
from tests.unit.planning.world_model import (
    all_limits,
    make_spec,
)

PROBE = Probe(exec=("/bin/true",))
PROBES = Probes(readiness=PROBE)
NEVER = Restart(policy=RestartPolicy.NEVER)


def needs(name: str, *others: str, condition: str = "started", **fields: Any) -> Spec:
    """Return the spec of a container that depends on others; `db!` restarts with db."""
    depends_on = tuple(
        Dependency(
            name=other.rstrip("!"),
            condition=DependencyCondition(condition),
            restart=other.endswith("!"),
        )
        for other in others
    )
    return make_spec(name, depends_on=depends_on, **fields)


def plan_of(desired: Desired, world: World, **options: Any) -> Plan:
    return make_plan(desired, world, all_limits(desired, world), PlanOptions(**options))


def turns(plan: Plan) -> list[list[str]]:
    """Return what is done side by side, one turn after another."""
    groups: dict[tuple[int, int], list[str]] = {}
    for action in plan.actions:
        groups.setdefault(action.turn(), []).append(f"{action.verb} {action.name}")
    return [group for _, group in sorted(groups.items())]


def wait_of(plan: Plan, name: str = "web") -> tuple[str, bool]:
    """Return why it waits for others, and whether that may end by itself."""
    (wait,) = [one for one in plan.waits if one.name == name]
    assert (wait.kind, wait.until) == (WaitKind.DEPENDENCY, None)
    assert name not in {action.name for action in plan.actions}
    return wait.reason, wait.can_come
