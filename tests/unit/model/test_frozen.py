"""Frozen classes: made by keyword, the same before and after their `__init__` is compiled."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.frozen import field, frozen

OBJECTS = 30


def make_class() -> Any:
    @frozen
    class Point:
        x: int
        y: int = 7
        tags: list[str] = field(default_factory=list)

    return Point


def test_the_first_objects_are_like_the_later_ones() -> None:
    point = make_class()
    made = [point(x=1) for _ in range(OBJECTS)]
    assert {(one.x, one.y, tuple(one.tags)) for one in made} == {(1, 7, ())}
    assert all(one == made[0] for one in made)
    assert len({id(one.tags) for one in made}) == OBJECTS


@pytest.mark.parametrize("before", [0, OBJECTS])
@pytest.mark.parametrize(
    ("given", "problem"), [({}, "missing .* 'x'"), ({"x": 1, "z": 2}, "unexpected .* 'z'")]
)
def test_what_is_missing_or_unknown_is_told(
    before: int, given: dict[str, int], problem: str
) -> None:
    point = make_class()
    for _ in range(before):
        point(x=1)
    with pytest.raises(TypeError, match=problem):
        point(**given)
