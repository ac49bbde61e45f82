"""The wait before the next try."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.spec import Backoff, Restart
from reconciler.planning import backoff

NS = 10**9
RULES = Backoff(initial_ns=NS // 2, factor=2, max_ns=30 * NS)


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(0, 0), (1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (100, 30), (1_000_000, 30)],
)
def test_the_wait_grows_by_the_factor_up_to_the_maximum(attempts: int, seconds: float) -> None:
    assert backoff.delay_ns(RULES, attempts) == seconds * NS


def test_a_maximum_below_the_initial_wait_is_the_wait() -> None:
    assert backoff.delay_ns(Backoff(initial_ns=10 * NS, max_ns=NS), 1) == NS


def test_a_factor_of_one_waits_the_same_each_time() -> None:
    rules = Backoff(initial_ns=NS, factor=1, max_ns=30 * NS)
    assert {backoff.delay_ns(rules, attempts) for attempts in range(1, 50)} == {NS}


def test_it_is_due_at_the_moment_and_not_before() -> None:
    due = backoff.due_at(100.0, RULES, 3, "web")
    assert due == 102.0
    assert not backoff.is_due(100.0, due, 101.9)
    assert backoff.is_due(100.0, due, 102.0)


def test_a_clock_that_was_set_back_does_not_make_it_wait_for_the_old_time() -> None:
    assert backoff.is_due(100_000.0, backoff.due_at(100_000.0, RULES, 1, "web"), 50_000.0)


def test_an_end_seen_just_after_the_moment_of_observation_still_waits() -> None:
    assert not backoff.is_due(100.01, backoff.due_at(100.01, RULES, 1, "web"), 100.0)


@pytest.mark.parametrize(
    ("started_at", "stable"), [(None, False), (70.1, False), (70.0, True), (10.0, True)]
)
def test_a_run_as_long_as_the_maximum_is_stable(started_at: float | None, stable: bool) -> None:
    assert backoff.is_stable(started_at, 100.0, Restart(backoff=RULES)) is stable


@pytest.mark.parametrize(("started_at", "stable"), [(94.9, True), (95.0, True), (95.1, False)])
def test_what_counts_as_stable_can_be_told(started_at: float, stable: bool) -> None:
    rules = Restart(backoff=RULES, reset_after_ns=5 * NS)
    assert backoff.is_stable(started_at, 100.0, rules) is stable


@given(
    name=st.text(min_size=1, max_size=63),
    attempts=st.integers(1, 100),
    jitter=st.floats(0, 1),
)
def test_jitter_leaves_out_at_most_its_share_and_is_always_the_same(
    name: str, attempts: int, jitter: float
) -> None:
    rules = Backoff(initial_ns=NS, factor=2, max_ns=60 * NS, jitter=jitter)
    whole, wait = (
        backoff.delay_ns(rules, attempts),
        backoff.jittered_ns(rules, attempts, name),
    )
    assert int(whole * (1 - jitter)) <= wait <= whole
    assert backoff.jittered_ns(rules, attempts, name) == wait


def test_jitter_spreads_many_names_over_the_whole_share() -> None:
    rules = Backoff(initial_ns=NS, factor=1, max_ns=NS, jitter=0.5)
    waits = [backoff.jittered_ns(rules, 1, f"web-{number}") for number in range(1000)]
    tenths = [
        sum(500 + 50 * n <= wait * 1000 // NS < 550 + 50 * n for wait in waits) for n in range(10)
    ]
    assert all(60 <= count <= 140 for count in tenths), tenths
