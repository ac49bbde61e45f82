from __future__ import annotations

import pytest

from reconciler.model.names import explain_id, is_valid_id


@pytest.mark.parametrize("name", ["a", "0", "web", "Web-1.example_org", "a" * 63])
def test_letters_digits_and_inner_punctuation_make_a_name(name: str) -> None:
    assert is_valid_id(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "the name is empty"),
        ("-web", "begins with '-'"),
        (".web", "begins with '.'"),
        ("..", "begins with '.'"),
        ("a..b", "contains '..'"),
        ("a/b", "contains '/'"),
        ("../a", "begins with '.'"),
        ("a\0b", "contains '\\x00'"),
        ("web\n", "contains '\\n'"),
        ("wéb", "contains 'é'"),
        ("a" * 64, "has 64 characters"),
        ("x" * 1025, "has 1025 characters"),
    ],
)
def test_a_bad_name_is_refused_with_its_reason_on_one_short_line(name: str, reason: str) -> None:
    explained = explain_id(name)
    assert explained is not None
    assert reason in explained
    assert "\n" not in explained
    assert len(explained) < 200
    assert not is_valid_id(name)
