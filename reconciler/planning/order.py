"""In which order containers that depend on one another start and stop: waves.

Called by the planner for its actions, and by verbs that act on several containers. Those of one
wave go side by side, one wave after another. Pure; a cycle, which files cannot give but records
can, is cut somewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.model.action import Action, Destroy, StopAction
from reconciler.model.frozen import replace
from reconciler.model.spec import Spec
from reconciler.model.world import Observed

Graph = Mapping[str, Sequence[str]]
"""By name, what it depends on; names that are no key are passed over."""


def graph_of(specs: Iterable[Spec | None]) -> dict[str, list[str]]:
    """Return what each container depends on, by all of the specs that it has or had."""
    graph: dict[str, list[str]] = {}
    for spec in specs:
        if spec is not None:
            graph.setdefault(spec.name, []).extend(one.name for one in spec.depends_on)
    return graph


def connected(graph: Graph) -> dict[str, str]:
    """Return for each name one that stands for all that it is connected with, both ways."""
    neighbours: dict[str, list[str]] = {name: [] for name in graph}
    for name, steps in graph.items():
        for step in steps:
            if step in neighbours:
                neighbours[name].append(step)
                neighbours[step].append(name)
    found: dict[str, str] = {}
    for root in neighbours:
        waiting = [] if root in found else [root]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = root
                waiting += neighbours[name]
    return found


def dependency_order(graph: Graph) -> list[str]:
    """Return all names, each after those that it depends on; else as the graph has them."""
    order: list[str] = []
    seen: set[str] = set()
    for root in graph:
        stack = [] if root in seen else [(root, iter(graph[root]))]
        seen.add(root)
        while stack:
            name, steps = stack[-1]
            step = next((one for one in steps if one in graph and one not in seen), None)
            if step is None:
                order.append(name)
                stack.pop()
            else:
                seen.add(step)
                stack.append((step, iter(graph[step])))
    return order


def start_waves(graph: Graph) -> dict[str, int]:
    """Return in which wave each starts: 0, or one more than the last of its dependencies."""
    waves: dict[str, int] = {}
    for name in dependency_order(graph):
        waves[name] = 1 + max((waves.get(step, -1) for step in graph[name]), default=-1)
    return waves


def stop_waves(graph: Graph) -> dict[str, int]:
    """Return in which wave each stops: 0, or one more than the last of its dependents."""
    waves = dict.fromkeys(graph, 0)
    for name in reversed(dependency_order(graph)):
        for step in graph[name]:
            if step in waves:
                waves[step] = max(waves[step], waves[name] + 1)
    return waves


def group_waves(names: Iterable[str], waves: Mapping[str, int]) -> list[list[str]]:
    """Return the names wave by wave, in their order; what is in no wave goes with the first."""
    groups: dict[int, list[str]] = {}
    for name in names:
        groups.setdefault(waves.get(name, 0), []).append(name)
    return [group for _, group in sorted(groups.items())]


def order_actions(
    actions: Iterable[Action], wanted: Mapping[str, Spec], containers: Mapping[str, Observed]
) -> tuple[Action, ...]:
    """Return the actions in order, with the waves of what stops: dependents first.

    What depends on what is told by the wanted specs and the recorded ones alike.
    """
    ordered = list(actions)
    if any(isinstance(one, StopAction | Destroy) for one in ordered):
        recorded = (observed.spec for observed in containers.values())
        waves = stop_waves(graph_of((*wanted.values(), *recorded)))
        ordered = [_in_wave(action, waves) for action in ordered]
    return tuple(sorted(ordered, key=lambda action: (action.turn(), action.name)))


def _in_wave(action: Action, waves: Mapping[str, int]) -> Action:
    wave = waves.get(action.name, 0)
    if not wave or not isinstance(action, StopAction | Destroy):
        return action
    return replace(action, wave=wave)
