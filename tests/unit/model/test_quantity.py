from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.quantity import (
    format_cpu,
    format_duration,
    format_size,
    format_size_rounded,
    parse_cpu,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (0, 0),
        (4096, 4096),
        ("4096", 4096),
        ("64Mi", 64 * 2**20),
        ("1.5Gi", 3 * 2**29),
        ("500M", 500_000_000),
        ("1k", 1000),
        ("8Pi", 8 * 2**50),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_a_size_is_kubernetes_quantity(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a size (examples: 64Mi, 1.5Gi, 500M, 4096)"),
        ("-1", "'-1' is not a size (examples: 64Mi, 1.5Gi, 500M, 4096)"),
        (-1, "-1 is not a size (examples: 64Mi, 1.5Gi, 500M, 4096)"),
        ("5 Mi", "'5 Mi' is not a size (examples: 64Mi, 1.5Gi, 500M, 4096)"),
        ("5Mi\n", "'5Mi\\n' is not a size (examples: 64Mi, 1.5Gi, 500M, 4096)"),
        ("1e3", "'1e3' is not a size (examples: 64Mi, 1.5Gi, 500M, 4096)"),
        (
            "256MB",
            "'256MB' is not a size (examples: 64Mi, 1.5Gi, 500M, 4096); write 256M or 256Mi",
        ),
        ("1K", "'1K' is not a size (examples: 64Mi, 1.5Gi, 500M, 4096); write 1k or 1Ki"),
        ("2m", "'2m' is not a size (examples: 64Mi, 1.5Gi, 500M, 4096); write 2M or 2Mi"),
        ("0.5", "'0.5' is not a whole number of bytes"),
        ("9223372036854775808", "'9223372036854775808' is more than 2^63-1 bytes"),
        (
            "9" * 10**6,
            "'99999999999999999999...' is not a size (examples: 64Mi, 1.5Gi, 500M, 4096)",
        ),
    ],
)
def test_a_bad_size_is_refused_with_what_to_write(text: str | int, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        parse_size(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "milli"), [("1500m", 1500), (2, 2000), ("0.5", 500), (1.5, 1500), ("1m", 1)]
)
def test_an_amount_of_cpu_is_in_thousandths(text: str | float, milli: int) -> None:
    assert parse_cpu(text) == milli


@pytest.mark.parametrize("text", ["", "m", "-1", "fast", "0.0001", "0.5m", "1e9", 1e-7, 2**40])
def test_a_bad_amount_of_cpu_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match="CPU"):
        parse_cpu(text)


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("0", 0),
        (0, 0),
        ("500ms", 500 * 10**6),
        ("1m30s", 90 * 10**9),
        ("2h", 7200 * 10**9),
        ("1.5s", 1500 * 10**6),
        ("3us", 3000),
        ("3µs", 3000),
    ],
)
def test_a_duration_is_spelled_as_in_go(text: str | int, duration_ns: int) -> None:
    assert parse_duration(text) == duration_ns


@pytest.mark.parametrize("text", ["", "s", "-1s", "5 s", "1s ", "1x", "1m30", "s1", "9" * 99])
def test_a_bad_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_a_number_without_a_unit_is_no_duration_and_the_second_is_proposed() -> None:
    with pytest.raises(ValueError, match=r"; write 10s$"):
        parse_duration(10)


def test_a_duration_of_more_than_292_years_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than 292 years"):
        parse_duration("9999999h")


@given(st.integers(0, 2**63 - 1))
def test_a_formatted_size_reads_as_the_same_size(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(0, 2**31 - 1))
def test_a_formatted_amount_of_cpu_reads_as_the_same_amount(milli: int) -> None:
    assert parse_cpu(format_cpu(milli)) == milli


@given(st.integers(0, 2**63 - 1))
def test_a_formatted_duration_reads_as_the_same_duration(duration_ns: int) -> None:
    assert parse_duration(format_duration(duration_ns)) == duration_ns


@given(st.text(max_size=12), st.sampled_from([parse_size, parse_cpu, parse_duration]))
def test_any_text_is_a_quantity_or_a_value_error(text: str, parse: Callable[[str], int]) -> None:
    try:
        quantity = parse(text)
    except ValueError as error:
        message = str(error)
    else:
        message = ""
        assert quantity >= 0
    assert "\n" not in message


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (1023, "1023"), (1288490188, "1.2Gi"), (2**20, "1Mi")]
)
def test_sizes_for_people_have_one_decimal_at_most(size: int, text: str) -> None:
    assert format_size_rounded(size) == text
