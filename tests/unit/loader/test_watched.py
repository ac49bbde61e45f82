"""Where to look for changes of all that the loader reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.loader import Loader
from reconciler.loader.watched import points_of
from tests.unit.loader.samples import write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "specs" / "web.yaml.d").mkdir(parents=True)
    (tmp_path / "specs" / "container.d").mkdir()
    write(tmp_path / "specs", "web.yaml")
    return tmp_path / "specs"


def watched(*paths: Path) -> dict[str, frozenset[str] | None]:
    loader = Loader(None)
    loader.load([str(path) for path in paths])
    return loader.watched_paths([str(path) for path in paths])


def test_a_source_and_its_drop_ins_are_watched(source: Path) -> None:
    assert watched(source) == {
        str(source): None,
        str(source / "web.yaml.d"): None,
        str(source / "container.d"): None,
    }


def test_beside_a_file_its_drop_ins_are_watched_also_for_their_appearing(source: Path) -> None:
    found = watched(source / "web.yaml")
    names = ["web.yaml", "container.d", "web.yaml.d", "web.yml.d", "web.json.d"]
    assert found[str(source)] == frozenset(names)
    assert found.keys() == {str(source), str(source / "web.yaml.d"), str(source / "container.d")}


def test_env_files_are_watched_missing_ones_too(source: Path, tmp_path: Path) -> None:
    write(tmp_path, "a.env", "A=b")
    write(tmp_path, "b.env", "A=b")
    write(source, "web.yaml", "command: [a]\nenvFile: [../a.env, ../b.env, -../gone/deep/c.env]")
    found = watched(source)
    assert found[str(tmp_path)] == frozenset({"a.env", "b.env", "gone"})


def test_the_targets_of_linked_specs_are_watched(source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = write(tmp_path / "elsewhere", "db.yaml")
    (source / "db.yaml").symlink_to(target)
    found = watched(source)
    assert found[str(tmp_path / "elsewhere")] == frozenset({"db.yaml"})
    assert found[str(source)] is None


def test_links_are_followed_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "..1").mkdir()
    write(tmp_path / "..1", "x.env", "A=b")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "x.env").symlink_to("..data/x.env")
    root = str(tmp_path)
    assert list(points_of(f"{root}/y/../x.env"))[:1] == [(root, "y")]
    assert list(points_of(f"{root}/x.env")) == [
        (root, "x.env"),
        (root, "..data"),
        (f"{root}/..1", "x.env"),
    ]
    (tmp_path / "loop").symlink_to("loop")
    assert set(points_of(f"{root}/loop")) == {(root, "loop")}


@pytest.mark.requires_command("git")
def test_git_s_lock_is_watched(source: Path) -> None:
    subprocess.run(["git", "init", "-q", str(source.parent)], check=True)
    assert watched(source)[str(source.parent / ".git")] == frozenset({"index.lock"})


def test_a_source_that_is_missing_is_left_to_the_daemon(tmp_path: Path) -> None:
    assert watched(tmp_path / "nowhere") == {}
