"""The catalogue: every code is explained, with actions that a user can take."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from reconciler.cli.arguments import parse
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.errors.catalogue import ENTRIES, Entry, find_entry

each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.code.name)


def quoted(entry: Entry) -> list[str]:
    """Return what stands in backticks in the actions."""
    return re.findall(r"`([^`]+)`", "\n".join(entry.actions))


def is_ours(command: str) -> bool:
    return command.startswith("reconciler ")


def test_every_code_has_exactly_one_entry() -> None:
    assert [entry.code for entry in ENTRIES] == sorted(ErrorCode)


@each_entry
def test_every_text_is_there_and_is_one_line(entry: Entry) -> None:
    assert entry.causes
    assert entry.actions
    for text in (entry.meaning, *entry.causes, *entry.actions):
        assert text.strip() == text
        assert 3 <= len(text) <= 300
        assert "\n" not in text
        assert "  " not in text
        assert text.count("`") % 2 == 0


@each_entry
def test_a_meaning_is_a_sentence_and_the_rest_are_list_items(entry: Entry) -> None:
    assert entry.meaning[0].isupper()
    assert entry.meaning.endswith(".")
    for item in (*entry.causes, *entry.actions):
        assert not item[0].isupper()
        assert not item.endswith(".")


@each_entry
def test_there_is_something_to_type(entry: Entry) -> None:
    assert quoted(entry)


@each_entry
def test_our_own_commands_in_the_actions_are_understood_by_the_command_line(entry: Entry) -> None:
    for _, verb, *arguments in (text.split() for text in quoted(entry) if is_ours(text)):
        if verb != "--help" and "--help" not in arguments:
            parse(verb, import_module(f"reconciler.cli.verbs.{verb}"), arguments)


@each_entry
def test_error_codes_are_found_by_number_and_by_name_in_any_case(entry: Entry) -> None:
    name = entry.code.name
    for text in (str(int(entry.code)), name, name.lower(), name.upper(), f" {name} "):
        assert find_entry(text) is entry


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("PermisionDenied", "did you mean PermissionDenied"),
        ("pruned", "did you mean PruneRefused"),
        ("4711", "codes are numbers from 1 to 199 or names such as IdInUse"),
        ("", "codes are numbers"),
    ],
)
def test_an_unknown_code_is_wrong_usage_with_the_nearest_names(text: str, hint: str) -> None:
    with pytest.raises(ReconcilerError, match=hint) as caught:
        find_entry(text)
    assert caught.value.code is ErrorCode.Usage


def test_a_very_long_text_is_not_echoed_whole() -> None:
    with pytest.raises(ReconcilerError) as caught:
        find_entry("x" * 10_000)
    assert len(str(caught.value)) < 200
