"""`show --merged` as typed: layered sources, drop-ins, env files, names without a container."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.conftest import RunDirs
from tests.integration.test_reconcile_by_hand import type_in

pytestmark = pytest.mark.requires_root


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Two layers: a spec with an env file and a drop-in for all; a drop-in over it."""
    for directory in ("usr/container.d", "etc/web.yaml.d"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "usr" / "web.yaml").write_text("command: [sleep, '9']\nenv:\n  A: usr\n  B: '5'\n")
    (tmp_path / "usr" / "container.d" / "1.yaml").write_text("envFile: web.env\n")
    (tmp_path / "usr" / "container.d" / "web.env").write_text("C=from a file\n")
    (tmp_path / "etc" / "web.yaml.d" / "1.yaml").write_text("env: {A: etc}\n")
    return tmp_path


def show(dirs: RunDirs, base: Path, *words: str, code: int = 0) -> str:
    return type_in(dirs, "show", "--merged", *words, f"{base}/usr", f"{base}/etc", code=code)


def test_each_value_has_its_origin_in_aligned_columns(run_dirs: RunDirs, base: Path) -> None:
    lines = show(run_dirs, base, "web").splitlines()
    value, origin = lines[0].index("VALUE"), lines[0].index("ORIGIN")
    rows = {
        line[:value].strip(): (line[value:origin].strip(), line[origin:].removeprefix(f"{base}/"))
        for line in lines[1:]
    }
    assert rows["command"] == ("[sleep, '9']", "usr/web.yaml:1")
    assert rows["env.A"] == ("etc", "etc/web.yaml.d/1.yaml:1")
    assert rows["env.B"] == ("'5'", "usr/web.yaml:4")
    assert rows["env.C"] == ("from a file", "usr/container.d/web.env:1")
    assert rows["stop.grace"] == ("10s", "default")
    assert not any(path.startswith("probes") for path in rows)


def test_programs_get_path_value_and_place(run_dirs: RunDirs, base: Path) -> None:
    shown = json.loads(show(run_dirs, base, "web", "-o", "json"))
    assert shown["problems"] == []
    assert shown["items"][0] == {
        "path": "command",
        "value": ["sleep", "9"],
        "file": f"{base}/usr/web.yaml",
        "line": 1,
        "column": 10,
    }
    assert yaml.safe_load(show(run_dirs, base, "web", "-o", "yaml")) == shown


def test_of_an_invalid_spec_what_there_is_is_shown_with_the_problem(
    run_dirs: RunDirs, base: Path
) -> None:
    file = base / "etc" / "web.yaml.d" / "2.yaml"
    file.write_text("env: {A: 5}\nzzz: 1\n")
    told = show(run_dirs, base, "web", code=3)
    assert f"{file}:2" in told
    assert f"! {file}:1:10: env.A: " in told
    assert "! " + str(file) + ":2:1: zzz: " in told
    problems = json.loads(show(run_dirs, base, "web", "-o", "json", code=3))["problems"]
    assert [problem["field"] for problem in problems] == ["env.A", "zzz"]


def test_of_a_file_that_is_no_yaml_the_problem_is_told(run_dirs: RunDirs, base: Path) -> None:
    (base / "etc" / "db.yaml").write_text("command: [\n")
    told = show(run_dirs, base, "db", code=3)
    assert told.startswith(f"! {base}/etc/db.yaml:2:1: ")
    assert "FIELD" not in told


def test_a_name_that_is_in_no_file_is_not_found(run_dirs: RunDirs, base: Path) -> None:
    told = show(run_dirs, base, "wbe", code=1)
    assert "no file gives this name; did you mean web?" in told
    assert f"looked at: {base}/usr, {base}/etc" in told


def test_without_sources_those_of_the_containers_are_taken(
    run_dirs: RunDirs, base: Path, engine: object
) -> None:
    type_in(run_dirs, "apply", f"{base}/usr")
    (base / "usr" / "later.yaml").write_text("command: [a]\n")
    assert f"{base}/usr/web.yaml:1" in type_in(run_dirs, "show", "web", "--merged")
    assert f"{base}/usr/later.yaml:1" in type_in(run_dirs, "show", "later", "--merged")


def test_sources_without_merged_are_wrong_usage(run_dirs: RunDirs, base: Path) -> None:
    assert "show --merged" in type_in(run_dirs, "show", "web", f"{base}/usr", code=64)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_is_completed(shell: str, run_dirs: RunDirs) -> None:
    script = type_in(run_dirs, "completion", shell)
    assert ("-l merged" if shell == "fish" else "show) options=--merged kinds='names;files'") in (
        script
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", {"maxSize": "10Mi", "maxFiles": 5}), ("logs: none\n", "none")],
    ids=["kept", "none"],
)
def test_the_spec_of_a_container_is_shown_as_a_file_would_have_it(
    text: str, shown: object, run_dirs: RunDirs, base: Path, engine: object
) -> None:
    (base / "etc" / "db.yaml").write_text("command: [sleep, '9']\n" + text)
    type_in(run_dirs, "apply", f"{base}/etc/db.yaml")
    spec = json.loads(type_in(run_dirs, "show", "db", "-o", "json"))["spec"]
    assert spec["logs"] == shown
    assert spec["command"] == ["sleep", "9"]
    assert not {"source", "references"} & spec.keys()
