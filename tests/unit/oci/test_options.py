"""The command line of `reconciler-oci`, as runc takes it."""

from __future__ import annotations

import pytest

from reconciler.oci.options import UsageError, check_arguments, format_verb, parse
from reconciler.oci.table import GLOBAL, VERBS

_BY_NAME = {verb.name: verb for verb in VERBS}


def test_options_may_stand_before_and_behind_arguments() -> None:
    values, arguments = parse(_BY_NAME["kill"].options, ["c", "KILL", "--all"])
    assert values["all"]
    assert arguments == ["c", "KILL"]


@pytest.mark.parametrize("words", [["--bundle", "b"], ["--bundle=b"], ["-b", "b"], ["-bb"]])
def test_a_value_is_given_in_any_of_the_usual_ways(words: list[str]) -> None:
    values, _ = parse(_BY_NAME["run"].options, [*words, "c"])
    assert values["bundle"] == "b"


def test_letters_may_stand_together() -> None:
    values, arguments = parse(_BY_NAME["exec"].options, ["-dtu", "1:1", "c", "ls", "-l"], stops=1)
    assert (values["detach"], values["tty"], values["user"]) == (True, True, "1:1")
    assert arguments == ["c", "ls", "-l"]


def test_a_list_collects_and_a_number_is_one() -> None:
    values, _ = parse(_BY_NAME["exec"].options, ["-e", "A=1", "--env=B=2", "--preserve-fds", "3"])
    assert values["env"] == ["A=1", "B=2"]
    assert values["preserve-fds"] == 3


def test_global_options_end_at_the_verb() -> None:
    values, rest = parse(GLOBAL, ["--root", "/r", "--debug", "run", "--detach", "c"], stops=0)
    assert (values["root"], values["debug"]) == ("/r", True)
    assert rest == ["run", "--detach", "c"]


@pytest.mark.parametrize(
    "words", [["--nosuch"], ["--pid-file"], ["--preserve-fds", "many"], ["--keep=maybe"]]
)
def test_what_cannot_be_understood_is_told(words: list[str]) -> None:
    with pytest.raises(UsageError, match=words[0].lstrip("-").split("=")[0]):
        parse(_BY_NAME["run"].options, words)


@pytest.mark.parametrize(
    ("verb", "arguments"), [("state", []), ("state", ["a", "b"]), ("kill", ["a", "b", "c"])]
)
def test_too_few_and_too_many_arguments_are_told(verb: str, arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="requires"):
        check_arguments(_BY_NAME[verb], arguments)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_has_a_module_and_help_that_names_its_options(verb: object) -> None:
    from importlib import import_module

    known = _BY_NAME[verb.name]  # type: ignore[attr-defined]
    assert callable(import_module(f"reconciler.oci.verbs.{known.name}").run)
    text = format_verb("reconciler-oci", known)
    assert all(f"--{option.name}" in text for option in known.options)
