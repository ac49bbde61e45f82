"""What the command line prints: tables, ages, keys, colours."""

from __future__ import annotations

import io
import sys

import pytest

from reconciler.cli.failure import describe, report
from reconciler.cli.output import GREEN, camel_case, emit_table, format_age, plural, styled
from reconciler.errors import ConfigInvalid, ErrorCode, ReconcilerError


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-3, "0s"),
        (0.9, "0s"),
        (5, "5s"),
        (60, "1m"),
        (192, "3m12s"),
        (3600, "1h"),
        (7500, "2h5m"),
        (86400 * 3 + 4 * 3600 + 59, "3d4h"),
        (86400, "1d"),
        (86459, "1d"),
    ],
)
def test_an_age_is_its_two_largest_units(seconds: float, shown: str) -> None:
    assert format_age(seconds) == shown


def test_a_table_is_aligned_and_empty_cells_are_seen(capsys: pytest.CaptureFixture[str]) -> None:
    emit_table(("NAME", "STATE", "MESSAGE"), [("web", "", "two\nlines"), ("longer", "up", "")])
    assert capsys.readouterr().out.splitlines() == [
        "NAME    STATE  MESSAGE",
        "web     -      two lines",
        "longer  up     -",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert styled("x", GREEN) == "x"
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert styled("x", GREEN) == "\x1b[32mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert styled("x", GREEN) == "x"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert styled("x", GREEN) == "x"


def test_keys_are_spelled_as_in_specs() -> None:
    data = {"usage_bytes": [{"oom_kills": 1}], "at": "usage_bytes"}
    assert camel_case(data) == {"usageBytes": [{"oomKills": 1}], "at": "usage_bytes"}


def test_nouns_agree_with_their_number() -> None:
    assert (plural(1, "spec"), plural(0, "spec")) == ("1 spec", "0 specs")


def test_collected_problems_follow_the_error_one_a_line() -> None:
    problem = ReconcilerError(ErrorCode.SpecValue, "cannot take web: too large")
    error = ConfigInvalid("cannot create web: its configuration is invalid", [problem])
    first, second = describe(error).splitlines()
    assert first.endswith("(ConfigInvalid 9; see: reconciler explain 9)")
    assert second == "  cannot take web: too large"


@pytest.mark.parametrize(
    ("code", "exits"),
    [
        (ErrorCode.SystemError, 1),
        (ErrorCode.ConfigInvalid, 3),
        (ErrorCode.PruneRefused, 4),
        (ErrorCode.SourceEmpty, 4),
        (ErrorCode.LockTimeout, 5),
        (ErrorCode.Usage, 64),
        (ErrorCode.Internal, 1),
    ],
)
def test_every_error_has_the_exit_code_of_the_design(
    code: ErrorCode, exits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(ReconcilerError(code, "cannot do it: reasons"), ["apply"]) == exits
    assert capsys.readouterr().err.startswith("error: cannot do it: reasons (")
