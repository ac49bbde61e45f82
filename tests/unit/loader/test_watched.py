"""Where to look for changes of all that the loader reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.loader import Loader
from reconciler.loader.watched import (
    Interest,
    Watched,
    find_watched,
    is_of_editor,
    points_of,
)
from tests.unit.loader.samples import write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "specs" / "web.yaml.d").mkdir(parents=True)
    (tmp_path / "specs" / "container.d").mkdir()
    write(tmp_path / "specs", "web.yaml")
    return tmp_path / "specs"


def watched(*paths: Path) -> Watched:
    loader = Loader(None)
    loader.load([str(path) for path in paths])
    return loader.watched_paths([str(path) for path in paths])


def named(*names: str) -> Interest:
    return Interest(frozenset(names))


SPECS = Interest(has_specs=True)


def test_a_source_its_drop_ins_and_the_two_directories_above_are_watched(source: Path) -> None:
    assert watched(source) == {
        str(source.parent.parent): named(source.parent.name),
        str(source.parent): named("specs"),
        str(source): SPECS,
        str(source / "web.yaml.d"): SPECS,
        str(source / "container.d"): SPECS,
    }


def test_beside_a_file_its_drop_ins_are_watched_also_for_their_appearing(source: Path) -> None:
    found = watched(source / "web.yaml")
    names = ["web.yaml", "container.d", "web.yaml.d", "web.yml.d", "web.json.d"]
    assert found.pop(str(source)) == named(*names)
    assert found.pop(str(source.parent)) == named("specs")
    assert found.keys() == {str(source / "web.yaml.d"), str(source / "container.d")}


def test_env_files_are_watched_missing_ones_too(source: Path, tmp_path: Path) -> None:
    write(tmp_path, "a.env", "A=b")
    write(tmp_path, "b.env", "A=b")
    write(source, "web.yaml", "command: [a]\nenvFile: [../a.env, ../b.env, -../gone/deep/c.env]")
    found = watched(source)
    assert found[str(tmp_path)] == named("a.env", "b.env", "gone", "specs")


def test_an_env_file_matters_though_editors_files_have_such_names(source: Path) -> None:
    write(source, ".env", "A=b")
    write(source, "web.yaml", "command: [a]\nenvFile: .env")
    interest = watched(source)[str(source)]
    assert interest.covers(".env")
    assert not interest.covers(".web.yaml.swp")


def test_the_targets_of_linked_specs_and_drop_ins_are_watched(source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "db.yaml.d").mkdir(parents=True)
    for name in ("db.yaml", "1.yaml"):
        target = write(tmp_path / "elsewhere", name)
        (source / name).symlink_to(target)
    (source / "web.yaml.d" / "1.yaml").symlink_to("../1.yaml")
    (source / "db.yaml.d").symlink_to("../elsewhere/db.yaml.d")
    found = watched(source)
    assert found[str(tmp_path / "elsewhere")] == named("db.yaml", "1.yaml", "db.yaml.d")
    assert found[str(tmp_path / "elsewhere" / "db.yaml.d")] == SPECS
    assert found[str(source)].has_specs


def test_a_source_behind_links_is_watched_at_each_of_them(source: Path, tmp_path: Path) -> None:
    (tmp_path / "releases" / "1").mkdir(parents=True)
    source.rename(tmp_path / "releases" / "1" / "specs")
    (tmp_path / "current").symlink_to("releases/1")
    found = watched(tmp_path / "current" / "specs")
    assert found[str(tmp_path)] == named("current")
    assert found[str(tmp_path / "releases" / "1")] == named("specs")
    assert found[str(tmp_path / "releases" / "1" / "specs")] == SPECS


def test_of_a_referenced_directory_all_matters_at_every_depth(tmp_path: Path) -> None:
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "tree" / "a" / "up").symlink_to("../..")
    whole = Interest(is_whole=True)
    tree = str(tmp_path / "tree")
    assert find_watched([], [tree]) == {
        str(tmp_path.parent): named(tmp_path.name),
        str(tmp_path): named("tree"),
        tree: whole,
        f"{tree}/a": whole,
        f"{tree}/a/b": whole,
    }
    assert whole.covers(".web.yaml.swp")


def test_links_are_followed_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "..1").mkdir()
    write(tmp_path / "..1", "x.env", "A=b")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "x.env").symlink_to("..data/x.env")
    root = str(tmp_path)
    assert list(points_of(f"{root}/y/../x.env")) == [(root, "y")]
    assert list(points_of(f"{root}/x.env")) == [
        (root, "x.env"),
        (root, "..data"),
        (f"{root}/..1", "x.env"),
    ]
    assert list(points_of(f"{root}/..data")) == [(root, "..data"), (root, "..1")]
    assert list(points_of("/")) == []
    (tmp_path / "loop").symlink_to("loop")
    assert set(points_of(f"{root}/loop")) == {(root, "loop")}


@pytest.mark.requires_command("git")
def test_git_s_lock_is_watched(source: Path) -> None:
    subprocess.run(["git", "init", "-q", str(source.parent)], check=True)
    assert watched(source)[str(source.parent / ".git")] == named("index.lock")


def test_a_source_that_is_missing_is_watched_for_from_the_nearest_directory(
    tmp_path: Path,
) -> None:
    assert watched(tmp_path / "x" / "y") == {str(tmp_path): named("x")}


def test_what_can_be_no_path_is_passed_over(source: Path) -> None:
    assert find_watched(["/nowhere\0"], ["/a\0b/c", "/a/b\0", "/\ud800/c", "/\ud800"]) == {}
    write(source, "web.yaml", 'command: [a]\nenvFile: ["\\ud800/a", "-\\ud800"]\n')
    assert watched(source)[str(source)] == SPECS


def test_editors_files_are_known_by_their_names() -> None:
    assert all(map(is_of_editor, (".web.yaml.swp", ".#web.yaml", "web.yaml~", ".git")))
    assert not any(map(is_of_editor, ("web.yaml", "..data", "..2026_01_01", "web.yaml.d")))
