"""Cycles among the specs of all sources: found, named, and kept out of force.

Called by `merge` alone. A name that no spec has is no error here: its file may come later, or be
of another source, and planning says so. Pure functions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.errors.codes import ErrorCode
from reconciler.loader.findings import spell_path
from reconciler.loader.parsed import Parsed
from reconciler.model.spec import Spec
from reconciler.model.world import Problem

_SHOWN = 12  # so many names of a cycle are told

_Graph = dict[str, list[str]]


class Cycle(NamedTuple):
    """A cycle as one of its members sees it: `web -> db -> web`, and the first step of it."""

    text: str
    first: str


def refuse_cycles(
    specs: dict[str, Spec], previous: Mapping[str, Spec], files: Mapping[str, Parsed]
) -> dict[str, Problem]:
    """Put the last good specs of all members of cycles in force; return their problems by name.

    A last good spec that is in a cycle itself is not good, and is taken out of force.
    """
    problems: dict[str, Problem] = {}
    while cycles := find_cycles(specs):
        for name, cycle in cycles.items():
            problems.setdefault(name, _make_problem(specs[name], cycle, files))
        is_settled = all(specs[name] is previous.get(name) for name in cycles)
        for name in cycles:
            if is_settled or name not in previous:
                del specs[name]
            else:
                specs[name] = previous[name]
    return problems


def find_cycles(specs: Mapping[str, Spec]) -> dict[str, Cycle]:
    """Return a shortest cycle for each name that depends on itself, by way of others or not."""
    graph = _without_ends(
        {
            name: [one.name for one in spec.depends_on if one.name in specs]
            for name, spec in specs.items()
            if spec.depends_on
        }
    )
    cycles: dict[str, Cycle] = {}
    for name in sorted(graph):
        if name not in cycles:
            names = _shortest_cycle(name, graph)
            for index, member in enumerate(names):
                cycles.setdefault(member, _describe(names, index))
    return cycles


def _without_ends(graph: _Graph) -> _Graph:
    """Return the graph without the names from which no cycle can be reached."""
    dependents: dict[str, list[str]] = {}
    left = {name: len(steps) for name, steps in graph.items()}
    for name, steps in graph.items():
        for step in steps:
            dependents.setdefault(step, []).append(name)
    ends = deque(name for name in dependents.keys() | left.keys() if not left.get(name))
    while ends:
        for name in dependents.get(ends.popleft(), ()):
            left[name] -= 1
            if not left[name]:
                ends.append(name)
    return {name: [s for s in steps if left.get(s)] for name, steps in graph.items() if left[name]}


def _shortest_cycle(name: str, graph: _Graph) -> Sequence[str]:
    """Return the names of a shortest cycle from `name` on; none when it is in none."""
    came_from: dict[str, str] = {}
    queue = deque([name])
    while queue:
        here = queue.popleft()
        for step in graph[here]:
            if step == name:
                return list(_walk_back(here, name, came_from))[::-1]
            if step not in came_from:
                came_from[step] = here
                queue.append(step)
    return ()


def _walk_back(here: str, name: str, came_from: Mapping[str, str]) -> Iterator[str]:
    while here != name:
        yield here
        here = came_from[here]
    yield name


def _describe(names: Sequence[str], index: int) -> Cycle:
    """Return the cycle as the member at `index` sees it."""
    count = len(names)
    seen: Iterable[str] = (names[(index + step) % count] for step in range(min(count, _SHOWN)))
    rest = [f"... ({count - _SHOWN} more)"] if count > _SHOWN else []
    text = " -> ".join([*seen, *rest, names[index]])
    return Cycle(text, names[(index + 1) % count])


def _make_problem(spec: Spec, cycle: Cycle, files: Mapping[str, Parsed]) -> Problem:
    parsed = files.get(spec.origin.file)
    places = parsed.places.get(spec.name, {}) if parsed is not None else {}
    place = places.get(cycle.first, spec.origin)
    code = ErrorCode.SpecCycle
    if cycle.first == spec.name:
        message = "it depends on itself; remove this entry"
    else:
        message = f"the dependencies make a cycle: {cycle.text}; remove one of them"
    return Problem(
        code=int(code),
        name=code.name,
        message=message,
        file=place.file,
        line=place.line,
        column=place.column,
        field=spell_path(("dependsOn", cycle.first)),
        spec_name=spec.name,
    )
