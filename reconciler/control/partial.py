"""A look at a few containers, put in the place of what an earlier pass has seen of them.

Called by the daemon's passes for events that name a container: with a thousand containers, one
that has ended is started again as fast as with one. Only what such an event can concern is looked
at and planned for: the container and what it is connected with by dependencies. All else, and
whatever no valid file names, is for a whole pass. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from reconciler.control.report import PassReport
from reconciler.model.action import Plan, Wait
from reconciler.model.frozen import replace
from reconciler.model.world import Desired, World
from reconciler.planning.order import connected, graph_of

T = TypeVar("T")


def groups_of(report: PassReport) -> dict[str, str]:
    """Return for each name of a pass the one that stands for all that it is connected with."""
    containers = report.world.containers
    recorded = (observed.spec for observed in containers.values())
    graph = graph_of((*report.desired.specs.values(), *recorded))
    others = containers.keys() | {action.name for action in report.plan.actions}
    return connected({**{name: [] for name in others}, **graph})


def scope_of(names: Iterable[str], report: PassReport) -> frozenset[str] | None:
    """Return what is to be looked at for the sake of `names`; None: everything.

    `report` is of the last pass, whose plan must have left no other container to be acted on.
    """
    groups = groups_of(report)
    wanted = {groups.get(name) for name in names}
    scope = frozenset(name for name, group in groups.items() if group in wanted)
    is_known = None not in wanted and scope <= report.desired.specs.keys() - report.desired.invalid
    is_all = {action.name for action in report.plan.actions} <= scope | report.held_up
    return scope if is_known and is_all else None


def narrow(desired: Desired, scope: frozenset[str]) -> Desired:
    """Return the specs of some names alone, as if there were no other files."""
    specs = {name: spec for name, spec in desired.specs.items() if name in scope}
    return replace(desired, specs=specs, problems=(), invalid=frozenset(), unknown_files=())


def widen(last: PassReport, world: World, plan: Plan, scope: frozenset[str]) -> PassReport:
    """Return the last report with what was now seen and planned of the names in `scope`."""

    def join(before: Mapping[str, T], now: Mapping[str, T]) -> dict[str, T]:
        return {**{name: one for name, one in before.items() if name not in scope}, **now}

    before = last.plan
    waits = (*(one for one in before.waits if one.name not in scope), *plan.waits)
    problems = (*(one for one in before.problems if one.spec_name not in scope), *plan.problems)
    return replace(
        last,
        world=replace(
            world,
            containers=join(last.world.containers, world.containers),
            unobserved=join(last.world.unobserved, world.unobserved),
            health=join(last.world.health, world.health),
        ),
        plan=replace(
            before,
            actions=plan.actions,
            waits=tuple(sorted(waits, key=_order)),
            problems=tuple(dict.fromkeys(problems)),
            suspended=join(before.suspended, plan.suspended),
            reported=join(before.reported, plan.reported),
        ),
        outcomes=(),
        begun=(),
        held_up=frozenset(),
    )


def _order(wait: Wait) -> tuple[bool, float, str]:
    return wait.until is None, wait.until or 0.0, wait.name
