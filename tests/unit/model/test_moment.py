"""Moments as text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.moment import format_time, parse_time


@pytest.mark.parametrize(
    "text",
    ["2026-01-31T12:00:00Z", "2026-01-31t12:00:00.000z", "2026-01-31 13:00:00+01:00"],
)
def test_a_time_is_read_in_every_spelling_of_rfc_3339(text: str) -> None:
    assert format_time(parse_time(text)) == "2026-01-31T12:00:00.000Z"


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-01-31", "2026-01-31T12:00:00", "1" * 99])
def test_what_is_no_whole_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time; write 2026-01-31T12:00:00Z"):
        parse_time(text)


def test_a_day_that_no_month_has_is_refused() -> None:
    with pytest.raises(ValueError, match="day"):
        parse_time("2026-02-30T12:00:00Z")


@given(st.integers(0, 10**13))
def test_milliseconds_survive_the_way_there_and_back(at_ms: int) -> None:
    assert abs(parse_time(format_time(at_ms / 1000)) * 1000 - at_ms) <= 1
