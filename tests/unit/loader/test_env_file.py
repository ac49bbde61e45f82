"""Env files: their lines, where they are looked for, and what a change of one does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.loader import Loader, load_sources, validate_paths
from reconciler.loader.document import DocumentError
from reconciler.loader.env_file import parse_env
from reconciler.model.world import Desired
from tests.unit.loader.samples import write


def parsed(text: str) -> dict[str, str]:
    return {name: value.text for name, value in parse_env("/f.env", text.encode()).items()}


LINES = {
    "A=b": "b",
    "A=": "",
    " A = b c ": "b c",
    "A=b # no comment": "b # no comment",
    "A=b=c": "b=c",
    "A='b c'": "b c",
    'A="b c"': "b c",
    "A='$HOME \\n \"'": '$HOME \\n "',
    'A="$HOME `id`"': "$HOME `id`",
    'A="\\"\\\\\\$\\`\\n"': '"\\$`\\n',
    "A=$HOME": "$HOME",
    "A=it's": "it's",
    "A=C:\\dir\\": "C:\\dir\\",
    "A=b\r": "b",
    "# c\n; c\n\n  # c\nA=b\n": "b",
    "A=a\nA=b": "b",
    "\ufeffA=b": "b",
    "A=é": "é",
}


@pytest.mark.parametrize(("text", "value"), LINES.items(), ids=repr)
def test_a_line_gives_a_variable(text: str, value: str) -> None:
    assert parsed(text) == {"A": value}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A", 1),
        ("A=b\n=c", 2),
        ("export A=b", 1),
        ("A='b", 1),
        ("A='b' c", 1),
        ('A="b\\"', 1),
        ("A=b\nB=\0", 2),
        ("'A'=b", 1),
    ],
)
def test_a_line_that_is_none_is_told_by_its_number_and_not_by_its_content(
    text: str, line: int
) -> None:
    with pytest.raises(DocumentError) as caught:
        parsed(text)
    assert caught.value.line == line


def test_a_secret_is_not_in_the_message() -> None:
    with pytest.raises(DocumentError) as caught:
        parsed("hunter2")
    assert "hunter2" not in caught.value.message


@given(st.dictionaries(st.from_regex("[A-Za-z_][A-Za-z0-9_]*", fullmatch=True), st.text()))
def test_a_value_in_single_quotes_is_kept_as_it_is(variables: dict[str, str]) -> None:
    variables = {
        name: "".join(char for char in value if char.isprintable() and char != "'")
        for name, value in variables.items()
    }
    assert parsed("".join(f"{name}='{value}'\n" for name, value in variables.items())) == variables


@given(st.binary(max_size=60))
def test_any_bytes_give_variables_or_an_error_with_a_line(content: bytes) -> None:
    try:
        variables = parse_env("/f.env", content)
    except DocumentError as error:
        lines, variables = [error.line], {}
    else:
        lines = [value.line for value in variables.values()]
    assert all(line >= 1 for line in lines)
    assert all(name and "=" not in name for name in variables)


# --- in specs --------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    return tmp_path / "specs"


def told(desired: Desired) -> list[str]:
    return [f"{problem.describe()} [{problem.name}]" for problem in desired.problems]


def env_of(source: Path) -> dict[str, str]:
    desired = validate_paths([str(source)])
    assert desired.problems == ()
    return desired.specs["web"].config.env


def test_env_wins_over_env_files_and_of_these_the_last(source: Path) -> None:
    write(source, "one.env", "A=one\nB=one\nC=one\n")
    write(source, "two.env", "B=two\nC=two\n")
    write(source, "web.yaml", "command: [a]\nenv: {C: own}\nenvFile: [one.env, ./two.env]")
    assert env_of(source) == {"A": "one", "B": "two", "C": "own"}


def test_one_file_needs_no_list_and_an_optional_one_may_be_missing_or_empty(source: Path) -> None:
    write(source, "web.yaml", f"command: [a]\nenvFile: {write(source, 'a.env', 'A=a')}")
    assert env_of(source) == {"A": "a"}
    write(source, "empty.env", "")
    write(source, "web.yaml", "command: [a]\nenvFile: [-empty.env, -none.env, -no/such/dir]")
    assert env_of(source) == {}


def test_an_env_file_is_relative_to_the_file_that_names_it(source: Path) -> None:
    (source / "web.yaml.d").mkdir()
    write(source / "web.yaml.d", "web.env", "A=drop-in")
    write(source, "web.env", "A=base")
    write(source, "web.yaml", "command: [a]\nenvFile: web.env")
    assert env_of(source) == {"A": "base"}
    write(source / "web.yaml.d", "1.yaml", "envFile: web.env")
    assert env_of(source) == {"A": "drop-in"}


def test_the_digest_is_that_of_the_same_variables_in_env(source: Path) -> None:
    write(source, "web.env", "A=a")
    write(source, "web.yaml", "command: [a]\nenvFile: web.env")
    first = validate_paths([str(source)]).specs["web"]
    write(source, "web.yaml", "command: [a]\nenv: {A: a}")
    assert validate_paths([str(source)]).specs["web"].digest == first.digest
    write(source, "web.env", "A=b")
    write(source, "web.yaml", "command: [a]\nenvFile: web.env")
    assert validate_paths([str(source)]).specs["web"].digest != first.digest


def test_a_required_env_file_that_is_not_there_is_a_problem_of_the_field(source: Path) -> None:
    file = write(source, "web.yaml", "command: [a]\nenvFile: [-x.env, no.env, empty.env, d]")
    write(source, "empty.env", "")
    (source / "d").mkdir()
    hint = "'-' before the path makes it optional [SpecValue]"
    assert told(validate_paths([str(source)])) == [
        f"{file}:2:19: envFile[1]: cannot read {source}/no.env: it does not exist; {hint}",
        f"{file}:2:27: envFile[2]: cannot read {source}/empty.env: it is empty; {hint}",
        f"{file}:2:38: envFile[3]: cannot read {source}/d: it is a directory [SpecValue]",
    ]


def test_an_env_file_that_cannot_be_read_is_a_problem_though_it_is_optional(source: Path) -> None:
    os.mkfifo(source / "x.env")
    file = write(source, "web.yaml", "command: [a]\nenvFile: -x.env")
    assert told(validate_paths([str(source)])) == [
        f"{file}:2:10: envFile: cannot read {source}/x.env: it is a FIFO [SpecValue]"
    ]


def test_a_line_that_is_not_understood_is_told_with_its_place(source: Path) -> None:
    write(source, "web.yaml", "command: [a]\nenvFile: x.env")
    env = write(source, "x.env", "A=a\nB\n")
    desired = validate_paths([str(source)])
    assert told(desired) == [f"{env}:2:1: the line is not NAME=VALUE [SpecSyntax]"]
    assert desired.problems[0].spec_name == "web"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("5", "expected text or a list, got the number 5"),
        ("''", "the path is empty"),
        ("'-'", "the path is empty"),
        ("[5]", "expected text or a mapping, got the number 5"),
        ("{A: b}", "expected text or a list, got a mapping"),
        (f"[{'a,' * 65}]", "the list is too long; the most is 64 items"),
    ],
)
def test_a_wrong_env_file_is_a_problem_and_nothing_is_read(
    value: str, message: str, source: Path
) -> None:
    write(source, "web.yaml", f"command: [a]\nenvFile: {value}")
    [problem] = validate_paths([str(source)]).problems
    assert message in problem.message


@pytest.mark.parametrize("is_daemon", [True, False])
def test_a_changed_env_file_is_noticed_and_a_broken_one_changes_nothing(
    is_daemon: bool, source: Path, tmp_path: Path
) -> None:
    write(source, "web.yaml", "command: [a]\nenvFile: x.env")
    env = write(tmp_path, "x.env", "A=1")
    (source / "x.env").symlink_to(env)
    loader = Loader(str(tmp_path / "state"))

    def load() -> Desired:
        if is_daemon:
            return loader.load([str(source)])
        return load_sources([str(source)], str(tmp_path / "state"))

    for number in "123":
        env.write_text(f"A={number}")
        desired = load()
        assert (desired.specs["web"].config.env, desired.problems) == ({"A": number}, ())
    for damage in (lambda: env.write_text("A"), lambda: env.write_text(""), env.unlink):
        damage()
        for _ in range(2):
            desired = load()
            assert desired.specs["web"].config.env == {"A": "3"}
            assert desired.invalid == {"web"}
            assert len(desired.problems) == 1
    env.write_text("A=4")
    desired = load()
    assert (desired.specs["web"].config.env, desired.problems) == ({"A": "4"}, ())


def test_an_optional_env_file_that_appears_is_noticed(source: Path, tmp_path: Path) -> None:
    write(source, "web.yaml", "command: [a]\nenvFile: -x.env")
    state_dir = str(tmp_path / "state")
    assert load_sources([str(source)], state_dir).specs["web"].config.env == {}
    env = write(source, "x.env", "A=1")
    assert load_sources([str(source)], state_dir).specs["web"].config.env == {"A": "1"}
    env.unlink()
    assert load_sources([str(source)], state_dir).specs["web"].config.env == {}
