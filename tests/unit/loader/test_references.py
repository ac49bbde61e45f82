"""Files that specs refer to: which, with which digest, and when they are looked at again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.loader import reader as reader_module
from reconciler.loader import validate_paths
from reconciler.loader.load import Loader, load_sources
from reconciler.model.spec import ReactionKind, Reference
from reconciler.model.world import Desired
from tests.unit.loader.samples import write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "conf").mkdir()
    (tmp_path / "specs" / "conf" / "app.conf").write_text("1")
    return tmp_path / "specs"


def mount(reaction: str = "{signal: HUP}") -> str:
    return (
        "command: [a]\n"
        f"mounts: [{{type: bind, source: ./conf, target: /conf, onChange: {reaction}}}]"
    )


def references_of(desired: Desired) -> tuple[Reference, ...]:
    assert desired.problems == ()
    return desired.specs["web"].references


def test_a_mount_is_a_reference_only_if_its_changes_ask_for_something(source: Path) -> None:
    write(source, "web.yaml", mount("ignore"))
    assert references_of(validate_paths([str(source)])) == ()
    write(source, "web.yaml", mount("restart"))
    [found] = references_of(validate_paths([str(source)]))
    assert (found.path, found.reaction.kind) == (str(source / "conf"), ReactionKind.RESTART)
    assert found.digest is not None


def test_an_env_file_is_a_reference_with_its_variables_unless_it_asks_for_a_restart(
    source: Path,
) -> None:
    write(source, "a.env", "A=1\nB=1\nC=1\nD=1")
    write(source, "b.env", "C=2")
    write(
        source,
        "web.yaml",
        "command: [a]\nenv: {B: own}\nenvFile: [{path: a.env, onChange: ignore}, b.env]",
    )
    [found] = references_of(validate_paths([str(source)]))
    assert (found.path, found.env_names) == (str(source / "a.env"), ("A", "D"))


def test_a_missing_source_has_no_digest_and_is_no_problem(source: Path) -> None:
    write(source, "web.yaml", mount().replace("./conf", "./gone"))
    [found] = references_of(validate_paths([str(source)]))
    assert found.digest is None


def test_one_directory_with_two_reactions_is_two_references(source: Path) -> None:
    twice = "{type: bind, source: conf, target: /b, onChange: {exec: [b]}}"
    write(source, "web.yaml", mount().replace("}}]", f"}}}}, {twice}, {twice}]"))
    kinds = [one.reaction.kind for one in references_of(validate_paths([str(source)]))]
    assert kinds == [ReactionKind.EXEC, ReactionKind.SIGNAL]


def test_trouble_with_a_source_is_a_problem_of_its_field(source: Path) -> None:
    with (source / "conf" / "huge").open("wb") as stream:
        stream.truncate(2**30)
    file = write(source, "web.yaml", mount())
    [problem] = validate_paths([str(source)]).problems
    assert problem.describe() == (
        f"{file}:2:31: mounts[0].source: cannot look for changes in {source}/conf:"
        " it has more than 64Mi; mount less of it, or leave onChange out"
    )


@pytest.mark.parametrize("is_daemon", [True, False])
def test_a_changed_reference_is_noticed_though_the_spec_file_is_not(
    is_daemon: bool, source: Path, tmp_path: Path
) -> None:
    write(source, "web.yaml", mount())
    loader = Loader(str(tmp_path / "state"))

    def digest() -> str | None:
        paths = [str(source)]
        desired = loader.load(paths) if is_daemon else load_sources(paths, str(tmp_path / "state"))
        [found] = references_of(desired)
        return found.digest

    first = digest()
    assert digest() == first
    (source / "conf" / "app.conf").write_text("2")
    second = digest()
    assert second != first
    (source / "conf" / "app.conf").write_text("1")
    assert digest() == first
    (source / "conf").rename(source / "away")
    assert digest() is None
    (source / "away").rename(source / "conf")
    assert digest() == first


def test_an_unchanged_reference_is_not_read_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source, "web.yaml", mount())
    for file in (source / "conf" / "app.conf", source / "conf"):
        os.utime(file, (1, 1))
    state_dir = str(tmp_path / "state")
    later = os.stat(source / "conf").st_ctime + 60

    def load() -> Desired:
        return Loader(state_dir, clock=lambda: later).load([str(source)])

    first = references_of(load())

    def refuse(path: str) -> None:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(reader_module, "read_tree", refuse)
    assert references_of(load()) == first
    (source / "conf" / "app.conf").write_text("2")
    with pytest.raises(AssertionError, match="was read again"):
        load()


def test_references_are_among_the_watched(source: Path, tmp_path: Path) -> None:
    (tmp_path / "outside" / "deep").mkdir(parents=True)
    write(source, "web.yaml", mount().replace("./conf", "../outside"))
    loader = Loader(str(tmp_path / "state"))
    loader.load([str(source)])
    watched = loader.watched_paths([str(source)])
    assert watched[str(tmp_path / "outside" / "deep")].covers("anything")
