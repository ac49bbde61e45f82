"""What stands together by dependencies, however they are directed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.planning.order import connected

NAMES = st.sampled_from("abcdefgh")


@pytest.mark.parametrize(
    ("graph", "groups"),
    [
        ({}, []),
        ({"a": [], "b": []}, ["a", "b"]),
        ({"a": ["b"], "b": [], "c": []}, ["ab", "c"]),
        ({"a": ["c"], "b": ["c"], "c": []}, ["abc"]),
        ({"a": ["b"], "b": ["a"]}, ["ab"]),
        ({"a": ["gone"], "b": ["gone"]}, ["a", "b"]),
    ],
)
def test_what_depends_on_one_another_is_one_group(
    graph: dict[str, list[str]], groups: list[str]
) -> None:
    found: dict[str, str] = {}
    for name, root in connected(graph).items():
        found[root] = found.get(root, "") + name
    assert sorted("".join(sorted(group)) for group in found.values()) == groups


@given(st.dictionaries(NAMES, st.lists(NAMES)))
def test_both_ends_of_a_dependency_are_in_the_same_group(graph: dict[str, list[str]]) -> None:
    found = connected(graph)
    assert found.keys() == graph.keys()
    for name, steps in graph.items():
        for step in steps:
            if step in graph:
                assert found[name] == found[step]
