"""Bad spec files: a clear error with a code and a place, and what runs is left alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import lend
from tests.e2e.instance import ERROR, NOBODY, PROBLEM_KEYS, Instance, Json, Result, sleeper

INVALID = 3


@pytest.fixture
def running(reconciler: Instance) -> Callable[[], None]:
    """Start a container and return a check that it runs on untouched."""
    reconciler.write("good.yaml", sleeper())
    reconciler.apply()
    pid = reconciler.pid("good")

    def check() -> None:
        assert reconciler.pid("good") == pid

    return check


def problems(reconciler: Instance, exits: int = INVALID) -> list[Json]:
    """Return the problems that `validate` finds, after a check of their shape."""
    found = reconciler.run("validate", reconciler.source, "-o", "json", exits=exits).json[
        "problems"
    ]
    assert isinstance(found, list)
    for problem in found:
        assert set(problem) == PROBLEM_KEYS
        assert isinstance(problem["code"], int)
    return found


ALIAS_BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)

# What stands in the file, line and column of the problem, what the message must contain.
BAD_TEXTS = {
    "unclosed list": ("command: [/bin/sleep, inf\n", 2, 1, ""),
    "half a word": ("command: [/bin/sle", None, None, ""),
    "a tab": ("command:\n\t- /bin/sleep\n", 2, 1, "tab"),
    "a duplicate key": ("command: [a]\nenv: {A: b}\ncommand: [b]\n", 3, 1, "command"),
    "a nested duplicate key": ("command: [a]\nenv: {A: b, A: c}\n", 2, 13, "A"),
    "an unknown field": ("command: [a]\ncomand: [b]\n", 2, 1, "did you mean 'command'"),
    "an unknown nested field": (
        "command: [a]\nresources:\n  memory:\n    maxx: 1Mi\n",
        4,
        5,
        "did you mean 'max'",
    ),
    "a wrong type": ("command: /bin/sleep inf\n", 1, 10, "list"),
    "no command": ("env: {A: b}\n", 1, 1, "command"),
    "an empty command": ("command: []\n", 1, 10, "command"),
    "a list of specs": ("- command: [a]\n", 1, 1, "map"),
    "a scalar": ("just words\n", 1, 1, ""),
    "an unquoted number": ("command: [a]\nenv:\n  PORT: 8080\n", 3, 9, "quote"),
    "an unquoted boolean": ("command: [a]\nenv:\n  ON: true\n", 3, 7, "quote"),
    "a bad size": ("command: [a]\nresources: {memory: {max: 12Q}}\n", 2, 27, "12Q"),
    "a bad duration": ("command: [a]\nstop: {grace: 5 minutes}\n", 2, 15, "5 minutes"),
    "a bad choice": ("command: [a]\nstate: runing\n", 2, 8, "running"),
    "a bad signal": ("command: [a]\nstop: {signal: SIGTERM}\n", 2, 16, "TERM"),
    "a relative workdir": ("command: [a]\nworkdir: srv\n", 2, 10, "absolute"),
    "a climbing mount": (
        "command: [a]\nmounts:\n- {type: tmpfs, target: /a/../../b}\n",
        3,
        25,
        "..",
    ),
    "a bind without source": (
        "command: [a]\nmounts:\n- {type: bind, target: /a}\n",
        3,
        3,
        "source",
    ),
    "a job that always restarts": (
        "kind: Job\ncommand: [a]\nrestart: {policy: always}\n",
        3,
        19,
        "Job",
    ),
    "a NUL in the command": ('command: ["a\\0b"]\n', 1, 11, "NUL"),
    "an alias bomb": (ALIAS_BOMB, None, None, "alias"),
    "a python object": ("command: !!python/object/apply:os.system [id]\n", 1, 10, ""),
    "deep nesting": ("command: " + "[" * 2000 + "\n", 1, None, ""),
}


@pytest.fixture(scope="module")
def all_bad() -> Iterator[tuple[Instance, list[Json], str]]:
    """Check all bad texts in one go: as JSON, and as people see it."""
    for instance in lend():
        for title, (text, *_) in BAD_TEXTS.items():
            instance.write(f"{title}.yaml".replace(" ", "-"), text)
        found = problems(instance)
        yield instance, found, instance.run("validate", instance.source, exits=INVALID).text


@pytest.mark.parametrize("title", BAD_TEXTS)
def test_a_bad_file_is_reported_with_file_line_and_column(
    all_bad: tuple[Instance, list[Json], str], title: str
) -> None:
    instance, found, shown = all_bad
    _, line, column, message = BAD_TEXTS[title]
    path = str(instance.source / f"{title}.yaml".replace(" ", "-"))
    problem = next(p for p in found if p["file"] == path)
    assert line is None or problem["line"] == line
    assert column is None or problem["column"] == column
    assert message in f"{problem['message']} {problem['field']}"
    place = f"{path}:{problem['line']}:{problem['column']}: "
    [shown_line] = [x for x in shown.splitlines() if x.removeprefix("! ").startswith(place)]
    assert problem["message"] in shown_line
    assert f"({problem['name']} {problem['code']}" in shown_line, "no code in what people see"
    assert len(shown_line) < 500


def test_a_file_that_is_no_text_is_an_error_with_a_code(
    reconciler: Instance, running: Callable[[], None]
) -> None:
    contents = {
        "latin": b"command: [\xff\xfe]\n",
        "binary": b"\x00\x01\x02",
        "utf16": b"\xff\xfec\x00o\x00",
        "control": b"command: [a]\x07\n",
    }
    for name, content in contents.items():
        (reconciler.source / f"{name}.yaml").write_bytes(content)
    result = reconciler.apply(exits=INVALID)
    for name in contents:
        [line] = [x for x in result.text.splitlines() if f"{name}.yaml:" in x]
        assert {m["name"] for m in ERROR.finditer(line)} <= {"SpecSyntax", "SpecUnreadable"}
        assert ERROR.search(line)
    running()


def test_a_file_that_is_too_large_is_not_read(
    reconciler: Instance, running: Callable[[], None]
) -> None:
    reconciler.write("bad.yaml", "# " + "x" * (2 << 20) + "\ncommand: [a]\n")
    result = reconciler.apply(exits=INVALID)
    assert result.codes == {"SpecTooLarge"}
    running()


def test_what_is_no_regular_file_is_no_hang(
    reconciler: Instance, running: Callable[[], None]
) -> None:
    (reconciler.source / "directory.yaml").mkdir()
    os.mkfifo(reconciler.source / "fifo.yaml")
    (reconciler.source / "dangling.yaml").symlink_to("nowhere.yaml")
    (reconciler.source / "loop.yaml").symlink_to("loop.yaml")
    result = reconciler.apply(exits=None)
    assert result.code in (0, INVALID)
    assert result.code == 0 or "SpecUnreadable" in result.codes
    running()


def test_all_problems_of_all_files_are_reported_at_once(reconciler: Instance) -> None:
    reconciler.write("a.yaml", "comand: [x]\nstate: dead\n")
    reconciler.write("b.yaml", "command: [x]\nresources: {pids: {max: 0}}\n", "command: [y]\n")
    reconciler.write("c.yaml", "command: [")
    found = problems(reconciler)
    assert {Path(problem["file"]).name for problem in found} == {"a.yaml", "b.yaml", "c.yaml"}
    assert len(found) >= 5
    fields = {problem["field"] for problem in found}
    assert {"state", "resources.pids.max"} <= fields
    assert found == sorted(found, key=lambda p: (p["file"], p["line"] or 0, p["column"] or 0))


def test_an_invalid_edit_leaves_the_container_on_its_last_good_spec(
    reconciler: Instance, running: Callable[[], None]
) -> None:
    path = reconciler.write(
        "good.yaml", "command: [/bin/sleep, inf]\nresources: {memory: {max: 9}}x"
    )
    result = reconciler.apply(exits=INVALID)
    assert f"{path}:2:" in result.text
    running()
    item = reconciler.items(reconciler.source)["good"]
    [condition] = [c for c in item["conditions"] if c["type"] == "Valid"]
    assert condition["status"] == "False"
    assert f"{path}:2:" in condition["message"]
    assert reconciler.run("plan", reconciler.source, exits=INVALID).codes == {"SpecSyntax"}


def test_a_container_on_its_last_good_spec_is_still_kept_running(
    reconciler: Instance, running: Callable[[], None]
) -> None:
    del running
    reconciler.write("good.yaml", sleeper(restart={"backoff": {"initial": "0"}}))
    reconciler.apply()
    pid = reconciler.pid("good")
    reconciler.write("good.yaml", "command: [/bin/sle")
    os.kill(pid, 9)
    reconciler.wait_for("good", pid=None)
    reconciler.apply(exits=INVALID)
    assert reconciler.pid("good") != pid


def test_a_half_written_file_leaves_its_container_alone(reconciler: Instance) -> None:
    halves = {
        "empty": "",
        "torn": "command: [/bin/sle",
        "comment": "# nothing yet\n",
        "word": "comm",
    }
    for name in halves:
        reconciler.write(f"{name}.yaml", sleeper())
    reconciler.apply()
    before = reconciler.items()
    for name, half in halves.items():
        (reconciler.source / f"{name}.yaml").write_text(half)
    result = reconciler.apply(exits=INVALID)
    for name in halves:
        assert f"{name}.yaml" in result.text
    pids = {name: item["pid"] for name, item in reconciler.items().items()}
    assert pids == {name: item["pid"] for name, item in before.items()}
    for name in halves:
        reconciler.write(f"{name}.yaml", sleeper())
    assert reconciler.is_converged()


def test_valid_files_beside_an_invalid_one_are_carried_out(
    reconciler: Instance, running: Callable[[], None]
) -> None:
    reconciler.write("bad.yaml", "command: 7\n")
    reconciler.write("new.yaml", sleeper())
    reconciler.apply(exits=INVALID)
    assert reconciler.item("new")["state"] == "running"
    running()


def test_of_two_files_with_one_name_the_incumbent_stays(
    reconciler: Instance, running: Callable[[], None]
) -> None:
    intruder = reconciler.write("a-first.yaml", "name: good\ncommand: [/bin/sleep, '4444']\n")
    result = reconciler.apply(exits=INVALID)
    assert result.codes == {"SpecDuplicateName"}
    assert f"{intruder}:1:" in result.text
    assert "good.yaml" in result.text
    running()


def test_of_two_new_files_with_one_name_neither_ends_what_runs_and_the_user_is_told(
    reconciler: Instance, running: Callable[[], None]
) -> None:
    reconciler.write("one.yaml", sleeper(name="twin"))
    reconciler.write("two.yaml", sleeper(name="twin"))
    [problem] = problems(reconciler)
    assert problem["name"] == "SpecDuplicateName"
    assert "one.yaml" in problem["message"] + problem["file"]
    reconciler.apply(exits=INVALID)
    running()


def test_two_documents_of_a_file_with_one_name_are_an_error(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper(), sleeper(name="web"))
    [problem] = problems(reconciler)
    assert problem["name"] == "SpecDuplicateName"


BAD_NAMES = {
    "slash": '"a/b"',
    "parent": '".."',
    "parent inside": '"a..b"',
    "climbing": '"../../etc"',
    "NUL": '"a\\0b"',
    "1,025 characters": "a" * 1025,
    "64 characters": "a" * 64,
    "leading dash": '"-web"',
    "leading dot": '".web"',
    "empty": '""',
    "space": '"a b"',
    "newline": '"a\\n"',
    "not ASCII": "wéb",
    "a number": "12",
    "null": "null",
}


BAD_STEMS = ["-web", "a b", "wéb", "a..b", "x" * 64]


@pytest.fixture(scope="module")
def badly_named() -> Iterator[tuple[Instance, Result]]:
    """Apply all bad names in one go, beside a container that runs."""
    for instance in lend():
        instance.write("good.yaml", sleeper())
        instance.apply()
        pid = instance.pid("good")
        for number, name in enumerate(BAD_NAMES.values()):
            instance.write(f"bad{number}.yaml", f"name: {name}\ncommand: [/bin/true]\n")
        for stem in BAD_STEMS:
            instance.write(f"{stem}.yaml", "command: [/bin/true]\n")
        result = instance.apply(exits=None)
        assert instance.pid("good") == pid
        assert instance.made() == {"good"}
        yield instance, result


@pytest.mark.parametrize("number", range(len(BAD_NAMES)), ids=list(BAD_NAMES))
def test_a_bad_name_is_refused_with_its_place(
    badly_named: tuple[Instance, Result], number: int
) -> None:
    instance, result = badly_named
    path = instance.source / f"bad{number}.yaml"
    [line] = [line for line in result.text.splitlines() if f"{path}:" in line]
    assert f"{path}:1:7: name: " in line
    assert {m["name"] for m in ERROR.finditer(line)} <= {"InvalidIdFormat", "SpecSchema"}
    assert ERROR.search(line)
    assert len(line) < 300


@pytest.mark.parametrize("stem", BAD_STEMS)
def test_a_bad_file_name_is_refused_when_it_would_be_the_name(
    badly_named: tuple[Instance, Result], stem: str
) -> None:
    instance, result = badly_named
    path = instance.source / f"{stem}.yaml"
    [line] = [line for line in result.text.splitlines() if f"{path}:" in line]
    assert "name" in line
    assert "(InvalidIdFormat 2" in line


def test_bad_names_are_invalid_specs_by_the_exit_code(
    badly_named: tuple[Instance, Result],
) -> None:
    assert badly_named[1].code == INVALID


def test_any_file_name_will_do_if_the_name_is_given(reconciler: Instance) -> None:
    for number, stem in enumerate(BAD_STEMS):
        reconciler.write(f"{stem}.yaml", sleeper(name=f"c{number}"))
    reconciler.run("validate", reconciler.source)


@pytest.mark.parametrize("name", ["a/b", "..", "../../etc", "a" * 1025, "", "a\nb"])
@pytest.mark.parametrize("verb", ["show", "destroy"])
def test_a_bad_name_on_the_command_line_is_refused(
    reconciler: Instance, verb: str, name: str
) -> None:
    result = reconciler.run(verb, name, exits=None)
    assert result.code in (1, 64), str(result)
    assert result.codes <= {"InvalidIdFormat", "NameNotFound", "Usage"}
    assert result.codes
    assert len(result.text) < 2500


def test_a_leading_dash_on_the_command_line_is_refused(reconciler: Instance) -> None:
    assert reconciler.run("show", "-web", exits=64).codes == {"Usage"}
    assert reconciler.run("show", "--", "-web", exits=None).code in (1, 64)


def test_a_source_that_may_not_be_read_is_an_error_with_a_code(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper())
    reconciler.source.chmod(0o700)
    result = reconciler.run_as(NOBODY, "validate", reconciler.source, exits=None)
    assert result.code in (1, INVALID), str(result)
    assert result.codes == {"SourceUnreadable"}


def test_a_file_that_may_not_be_read_is_an_error_with_a_code(reconciler: Instance) -> None:
    reconciler.write("web.yaml", sleeper()).chmod(0o600)
    result = reconciler.run_as(NOBODY, "validate", reconciler.source, exits=INVALID)
    assert result.codes == {"SpecUnreadable"}
    assert "web.yaml" in result.text


def test_every_problem_line_ends_with_its_code(reconciler: Instance) -> None:
    reconciler.write("bad.yaml", "comand: [x]\nstate: dead\n")
    shown = reconciler.run("validate", reconciler.source, exits=INVALID)
    lines = [line for line in shown.text.splitlines() if "bad.yaml:" in line]
    assert len(lines) >= 2
    for line in lines:
        assert ERROR.search(line), line
