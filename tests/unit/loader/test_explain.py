"""Each value of a merged document with the place that it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.loader import load_sources
from reconciler.loader.explain import explain_merged
from tests.unit.loader.samples import FULL, spec_of, write


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    for name in ("usr", "etc", "etc/web.yaml.d", "usr/container.d"):
        (tmp_path / name).mkdir()
    write(tmp_path / "usr", "web.yaml", "command: [a, b]\nenv: {A: x, B: y}\nuser: '5'\n")
    write(tmp_path / "usr" / "container.d", "1.yaml", "resources:\n  memory: {max: 1Gi}\n")
    write(tmp_path / "etc" / "web.yaml.d", "2.yaml", "env: {A: z}\nuser: null\nenvFile: e.env\n")
    write(tmp_path / "etc" / "web.yaml.d", "e.env", "# c\nA=file\nE=file\n")
    return [str(tmp_path / "usr"), str(tmp_path / "etc")]


def shown(sources: list[str], name: str = "web", **kwargs: Any) -> dict[str, tuple[Any, str]]:
    values = explain_merged(sources, name, **kwargs).values
    assert len({value.path for value in values}) == len(values)
    base = str(Path(sources[0]).parent) + "/"
    return {
        value.path: (value.value, value.describe_origin().removeprefix(base)) for value in values
    }


def test_every_value_is_shown_with_its_file_and_line(sources: list[str]) -> None:
    values = shown(sources)
    given = {path: value for path, value in values.items() if value[1] != "default"}
    assert given == {
        "command": (["a", "b"], "usr/web.yaml:1"),
        "env.A": ("z", "etc/web.yaml.d/2.yaml:1"),
        "env.B": ("y", "usr/web.yaml:2"),
        "env.E": ("file", "etc/web.yaml.d/e.env:3"),
        "envFile": ("e.env", "etc/web.yaml.d/2.yaml:3"),
        "resources.memory.max": ("1Gi", "usr/container.d/1.yaml:2"),
    }
    assert values["user"] == ("65534:65534", "default")
    assert values["name"] == ("web", "default")
    assert values["hostname"] == ("web", "default")
    assert values["stop.grace"] == ("10s", "default")
    assert values["labels"] == ({}, "default")
    assert "env" not in values
    assert "resources.cpu.max" not in values


def test_the_cache_changes_nothing_that_is_shown(sources: list[str], tmp_path: Path) -> None:
    state_dir = str(tmp_path / "state")
    load_sources(sources, state_dir)
    assert shown(sources, state_dir=state_dir) == shown(sources)


def test_what_is_shown_makes_the_same_spec_once_more(tmp_path: Path) -> None:
    """All values of the fullest spec, put together as one document, give its digest again."""
    write(tmp_path, "web.yaml", FULL)
    document: dict[str, Any] = {}
    for value in explain_merged([str(tmp_path)], "web").values:
        put(document, steps_of(value.path), value.value)
    first = spec_of(FULL, str(tmp_path / "web.yaml"))
    assert spec_of(json.dumps(document), str(tmp_path / "web.json")).digest == first.digest


def steps_of(path: str) -> list[str]:
    for mapping in ("drift.fields", "enforcement", "resources.unified", "sysctl"):  # dots
        if path.startswith(f"{mapping}."):
            return [*mapping.split("."), path.removeprefix(f"{mapping}.")]
    return path.replace("[", ".").replace("]", "").split(".")


def put(target: Any, steps: list[str], value: Any) -> None:
    for index, step in enumerate(steps):
        is_last = index == len(steps) - 1
        follow = value if is_last else ([] if steps[index + 1].isdecimal() else {})
        if isinstance(target, list):
            if int(step) == len(target):
                target.append(follow)
            target = target[int(step)]
        else:
            target = target.setdefault(step, follow)


def test_an_invalid_document_is_shown_as_it_is(sources: list[str]) -> None:
    write(Path(sources[1]), "web.yaml", "command: 5\nzzz: 1")
    values = shown(sources)
    assert values["command"] == (5, "etc/web.yaml:1")
    assert values["zzz"] == (1, "etc/web.yaml:2")
    assert "default" not in {origin for _, origin in values.values()}


def test_the_problems_of_an_invalid_document_are_told_and_those_of_others_are_not(
    sources: list[str],
) -> None:
    file = write(Path(sources[1]), "web.yaml", "command: 5")
    write(Path(sources[1]), "db.yaml", "command: 5")
    (problem,) = explain_merged(sources, "web").problems
    assert (problem.file, problem.field, problem.spec_name) == (str(file), "command", "web")


def test_a_broken_drop_in_is_a_problem_and_all_else_is_shown(sources: list[str]) -> None:
    file = write(Path(sources[1], "web.yaml.d"), "3.yaml", "env: [")
    found = explain_merged(sources, "web")
    assert [problem.file for problem in found.problems] == [str(file)]
    assert "env.A" in {value.path for value in found.values}


@pytest.mark.parametrize("has_cache", [False, True])
def test_of_a_file_that_cannot_be_parsed_the_problem_is_told(
    has_cache: bool, sources: list[str], tmp_path: Path
) -> None:
    state_dir = str(tmp_path / "state") if has_cache else None
    if state_dir is not None:
        load_sources(sources, state_dir)
    file = write(Path(sources[0]), "web.yaml", "command: [a")
    found = explain_merged(sources, "web", state_dir)
    assert [(one.code, one.file) for one in found.problems] == [(ErrorCode.SpecSyntax, str(file))]
    assert found.values == ()


def test_the_documents_before_a_syntax_error_are_shown_with_it(tmp_path: Path) -> None:
    write(tmp_path, "web.yaml", "command: [a]\n---\nname: two\ncommand: [a")
    found = explain_merged([str(tmp_path)], "web")
    assert [problem.code for problem in found.problems] == [ErrorCode.SpecSyntax]
    assert found.values[0].value == ["a"]


def test_a_name_that_two_files_give_is_shown_from_the_one_in_force(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "name: web\ncommand: [a]")
    write(tmp_path, "b.yaml", "name: web\ncommand: [b]")
    found = explain_merged([str(tmp_path)], "web")
    assert [problem.name for problem in found.problems] == ["SpecDuplicateName"]
    assert {value.file for value in found.values} == {None, str(tmp_path / "a.yaml")}


def test_a_name_that_no_file_gives_is_an_error_with_the_nearest_and_the_sources(
    sources: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ReconcilerError) as caught:
        explain_merged([*sources, str(tmp_path / "gone")], "wbe")
    assert caught.value.code is ErrorCode.NameNotFound
    assert "did you mean web?" in str(caught.value)
    assert f"{tmp_path}/gone (cannot read source: it does not exist" in str(caught.value)
