"""Thresholds in a row: from checks to the verdict of a probe."""

from __future__ import annotations

from reconciler.control.probes.verdict import is_news, next_result
from reconciler.model.health import ProbeResult
from reconciler.model.spec import Probe


def results(probe: Probe, checks: str) -> list[ProbeResult]:
    """Return the result after each check: `+` passes, `-` fails; the n-th at n seconds."""
    found, result = [], ProbeResult()
    for at, check in enumerate(checks):
        result = next_result(result, probe, None if check == "+" else "refused", float(at))
        found.append(result)
    return found


def verdicts(probe: Probe, checks: str) -> list[bool | None]:
    return [result.passes for result in results(probe, checks)]


def test_it_fails_with_so_many_failures_in_a_row_and_passes_again_with_so_many_successes() -> None:
    probe = Probe(unix="/s", failure_threshold=3, success_threshold=2)
    assert verdicts(probe, "++--+--") == [None, True, True, True, True, True, True]
    assert verdicts(probe, "++---++") == [None, True, True, True, False, False, True]


def test_there_is_no_verdict_before_a_threshold_is_reached() -> None:
    assert verdicts(Probe(unix="/s"), "--") == [None, None]
    assert verdicts(Probe(unix="/s"), "---+") == [None, None, False, True]


def test_since_when_is_the_check_that_turned_it_and_the_message_is_the_last_ones() -> None:
    *_, before, last = results(Probe(unix="/s", failure_threshold=2), "+---")
    assert (before.passes, before.since, before.message) == (False, 2.0, "refused")
    assert (last.since, last.checked_at, last.failures) == (2.0, 3.0, 3)
    assert results(Probe(unix="/s"), "-+")[-1].message == ""


def test_only_what_a_reader_goes_by_is_news() -> None:
    probe = Probe(unix="/s", failure_threshold=2)
    one, two, three, four, five = results(probe, "++---")
    assert not is_news(one, two, probe)
    assert is_news(two, three, probe)
    assert is_news(three, four, probe)
    assert not is_news(four, five, probe)
