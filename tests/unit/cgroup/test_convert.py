"""Conversions between a spec's units and cgroup files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cgroup import convert

weights = st.integers(1, 10_000)


@given(st.integers(1, 2**31 - 1))
def test_a_quota_gives_back_the_cpus_it_was_made_of(milli: int) -> None:
    quota_us, period_us = convert.quota_of(milli)
    assert convert.milli_of(quota_us, period_us) == milli
    assert quota_us >= 1000
    assert 1000 <= period_us <= 1_000_000


def test_a_quota_has_the_usual_period_unless_it_is_tiny() -> None:
    assert convert.quota_of(1500) == (150_000, 100_000)
    assert convert.quota_of(10) == (1000, 100_000)
    assert convert.quota_of(9) == (9000, 1_000_000)


def test_a_quota_that_is_no_whole_milli_cpu_is_told_as_it_is() -> None:
    assert convert.milli_of(33_333, 100_000) == 333.33


@given(weights)
def test_shares_give_back_the_weight_they_were_made_of(weight: int) -> None:
    assert convert.weight_of(convert.shares_of(weight)) == weight


def test_the_default_weight_is_the_default_shares() -> None:
    assert convert.shares_of(100) == 1024
    assert convert.weight_of(1024) == 100


def test_shares_between_two_weights_are_no_weight() -> None:
    assert convert.weight_of(1025) == 100.098
    assert convert.weight_of(2) == 0.195


@given(weights)
def test_bfq_keeps_a_weight_as_exactly_as_it_can(weight: int) -> None:
    bfq_weight = convert.bfq_weight_of(weight)
    assert 1 <= bfq_weight <= 1000
    nearest = convert.weight_of_bfq(bfq_weight)
    assert convert.bfq_weight_of(nearest) == bfq_weight
    assert nearest <= weight < nearest + 11


def test_memory_is_counted_in_whole_pages() -> None:
    page = convert.PAGE_BYTES
    assert convert.page_floor(page + 1) == page
    assert convert.page_floor(page - 1) == 0
    assert convert.page_floor(None) is None
    assert convert.page_floor(2**63 - 1) is None
    assert convert.page_floor(convert.MEMORY_UNLIMITED_BYTES - page) is not None


@given(st.sets(st.integers(0, 300)))
def test_a_list_of_cpus_gives_back_the_set_it_was_made_of(numbers: set[int]) -> None:
    assert convert.parse_list(convert.format_list(numbers)) == numbers


@pytest.mark.parametrize(
    ("text", "kernels"),
    [("0,1,2", "0-2"), ("3,1-2,1", "1-3"), ("0-0", "0"), ("", ""), ("7\n", "7")],
)
def test_a_list_has_one_spelling(text: str, kernels: str) -> None:
    assert convert.format_list(convert.parse_list(text)) == kernels


@pytest.mark.parametrize("text", ["one", "1-", "-1", "2-1", "1,,2", "0-4000000000", "1 2", "0x1"])
def test_a_text_that_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="0-3"):
        convert.parse_list(text)
