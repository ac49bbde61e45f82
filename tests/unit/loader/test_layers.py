"""Several directories: which file counts, what masks, and what stays in force meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.loader import Loader, load_sources, validate_paths
from reconciler.model.world import Desired, SourceStatus
from tests.unit.loader.samples import write

Load = Callable[[], Desired]


@pytest.fixture
def usr(tmp_path: Path) -> Path:
    (tmp_path / "usr").mkdir()
    write(tmp_path / "usr", "other.yaml")
    return tmp_path / "usr"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    write(tmp_path / "etc", "another.yaml")
    return tmp_path / "etc"


@pytest.fixture(params=["one loader", "a new loader each time"])
def load(request: pytest.FixtureRequest, usr: Path, etc: Path, tmp_path: Path) -> Load:
    paths = [str(usr), str(etc)]
    state_dir = str(tmp_path / "state")
    if request.param == "one loader":
        loader = Loader(state_dir)
        return lambda: loader.load(paths)
    return lambda: load_sources(paths, state_dir)


def command(desired: Desired, name: str = "web") -> str | None:
    spec = desired.specs.get(name)
    return None if spec is None else spec.config.command[0]


def told(desired: Desired) -> list[str]:
    return [f"{problem.name}: {problem.message}" for problem in desired.problems]


# --- overriding ----------------------------------------------------------------------------


def test_a_later_directory_overrides_an_earlier_one_by_file_name(
    load: Load, usr: Path, etc: Path
) -> None:
    write(usr, "web.yaml", "command: [usr]")
    assert command(load()) == "usr"
    over = write(etc, "web.yaml", "command: [etc]")
    desired = load()
    assert (command(desired), desired.problems) == ("etc", ())
    assert desired.specs["web"].source == str(etc)
    over.unlink()
    assert command(load()) == "usr"


def test_the_order_of_the_directories_decides(usr: Path, etc: Path, tmp_path: Path) -> None:
    write(usr, "web.yaml", "command: [usr]")
    write(etc, "web.yaml", "command: [etc]")
    loader = Loader(str(tmp_path / "state"))
    for paths, expected in (([usr, etc], "etc"), ([etc, usr], "usr"), ([usr, etc], "etc")):
        desired = loader.load([str(path) for path in paths])
        assert (command(desired), desired.problems) == (expected, ())


def test_the_stem_decides_and_not_the_ending(load: Load, usr: Path, etc: Path) -> None:
    write(usr, "web.yaml", "command: [usr]")
    write(etc, "web.json", '{"command": ["etc"]}')
    desired = load()
    assert (command(desired), desired.problems) == ("etc", ())


def test_an_override_hides_every_document_of_the_other_and_its_problems(
    load: Load, usr: Path, etc: Path
) -> None:
    write(usr, "web.yaml", "command: [usr]\n---\nname: side\ncommand: [usr]\n---\nbad: 1\n")
    write(etc, "web.yaml", "command: [etc]")
    desired = load()
    assert sorted(desired.specs) == ["another", "other", "web"]
    assert desired.problems == ()


def test_a_directory_named_like_a_file_overrides_nothing(load: Load, usr: Path, etc: Path) -> None:
    write(usr, "web.yaml", "command: [usr]")
    (etc / "web.yaml").mkdir()
    assert command(load()) == "usr"


def test_files_given_by_themselves_do_not_override_each_other(usr: Path, etc: Path) -> None:
    one = write(usr, "web.yaml", "command: [usr]")
    two = write(etc, "web.yaml", "name: web2\ncommand: [etc]")
    desired = validate_paths([str(one), str(two)])
    assert sorted(desired.specs) == ["web", "web2"]
    two.write_text("command: [etc]")
    assert "SpecDuplicateName" in told(validate_paths([str(one), str(two)]))[0]


def test_a_file_and_its_directory_are_one(usr: Path, etc: Path) -> None:
    file = write(usr, "web.yaml", "command: [usr]")
    write(etc, "web.yaml", "command: [etc]")
    for paths in ([usr, etc, file], [file, usr, etc]):
        desired = validate_paths([str(path) for path in paths])
        assert (command(desired), desired.problems) == ("etc", ())
        assert {source.status for source in desired.sources} == {SourceStatus.OK}


# --- the last good spec --------------------------------------------------------------------


def test_a_broken_override_leaves_what_it_overrides_in_force(
    load: Load, usr: Path, etc: Path
) -> None:
    write(usr, "web.yaml", "command: [usr]")
    load()
    over = write(etc, "web.yaml", "command: [etc")
    for _ in range(2):
        desired = load()
        assert command(desired) == "usr"
        assert desired.invalid == {"web"}
        assert desired.unknown_files == ()
    over.write_text("command: [etc]")
    desired = load()
    assert (command(desired), desired.invalid) == ("etc", frozenset())


def test_a_broken_file_that_is_uncovered_leaves_the_override_in_force(
    load: Load, usr: Path, etc: Path
) -> None:
    write(usr, "web.yaml", "command: [usr")
    over = write(etc, "web.yaml", "command: [etc]")
    load()
    over.unlink()
    desired = load()
    assert (command(desired), desired.invalid) == ("etc", frozenset({"web"}))


def test_a_later_directory_that_cannot_be_seen_keeps_overriding_and_masking(
    load: Load, usr: Path, etc: Path, tmp_path: Path
) -> None:
    for name in ("web", "masked", "empty", "dressed"):
        write(usr, f"{name}.yaml", "command: [usr]")
    write(etc, "web.yaml", "command: [etc]")
    write(etc, "empty.yaml", "")
    (etc / "masked.yaml").symlink_to("/dev/null")
    (etc / "dressed.yaml.d").mkdir()
    write(etc / "dressed.yaml.d", "10.yaml", "command: [dressed]")
    before = load()
    assert sorted(before.specs) == ["another", "dressed", "other", "web"]
    etc.rename(tmp_path / "away")
    for _ in range(2):
        desired = load()
        assert desired.specs == before.specs
        assert [problem.name for problem in desired.problems] == ["SourceMissing"]
        assert desired.invalid == {"web", "another", "dressed"}
        assert desired.unknown_files == ()
    (tmp_path / "away").rename(etc)
    desired = load()
    assert (desired.specs, desired.problems, desired.invalid) == (before.specs, (), frozenset())


def test_a_file_that_moves_between_the_directories_is_wanted_all_the_time(
    load: Load, usr: Path, etc: Path
) -> None:
    write(usr, "web.yaml", "command: [a]")
    before = load().specs["web"]
    (usr / "web.yaml").rename(etc / "web.yaml")
    desired = load()
    assert (desired.problems, desired.invalid) == ((), frozenset())
    assert desired.specs["web"].digest == before.digest
    assert [source.path for source in desired.sources] == [str(usr), str(etc)]


# --- masking -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["empty", "/dev/null"])
def test_an_empty_file_or_a_link_to_dev_null_masks(
    kind: str, load: Load, usr: Path, etc: Path
) -> None:
    write(usr, "web.yaml", "command: [usr]")
    load()
    mask = etc / "web.yaml"
    mask.write_text("") if kind == "empty" else mask.symlink_to("/dev/null")
    for _ in range(2):
        desired = load()
        assert sorted(desired.specs) == ["another", "other"]
        assert (desired.problems, desired.invalid, desired.unknown_files) == ((), frozenset(), ())
        assert {source.status for source in desired.sources} == {SourceStatus.OK}
    mask.unlink()
    assert command(load()) == "usr"


def test_a_link_to_dev_null_masks_also_where_there_is_nothing_to_mask(
    load: Load, etc: Path
) -> None:
    (etc / "web.yaml").symlink_to("/dev/null")
    desired = load()
    assert (sorted(desired.specs), desired.problems) == (["another", "other"], ())


def test_a_source_of_masks_alone_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").symlink_to("/dev/null")
    desired = validate_paths([str(tmp_path)])
    assert [source.status for source in desired.sources] == [SourceStatus.OK]


def test_an_empty_file_with_nothing_to_mask_is_invalid(load: Load, etc: Path) -> None:
    file = write(etc, "web.yaml")
    good = load().specs["web"]
    file.write_text("")
    desired = load()
    assert (desired.specs["web"], desired.invalid) == (good, frozenset({"web"}))
    assert told(desired) == ["SpecSyntax: the file is empty"]


def test_an_override_that_is_emptied_is_half_written_and_no_mask(
    load: Load, usr: Path, etc: Path
) -> None:
    write(usr, "web.yaml", "command: [usr]")
    over = write(etc, "web.yaml", "command: [etc]")
    load()
    over.write_text("")
    for _ in range(2):
        desired = load()
        assert (command(desired), desired.invalid) == ("etc", frozenset({"web"}))
        assert told(desired) == ["SpecSyntax: the file is empty; to mask web, link it to /dev/null"]
    over.write_text("command: [etc]")
    desired = load()
    assert (command(desired), desired.problems) == ("etc", ())


def test_a_mask_that_becomes_a_spec_and_a_spec_that_is_removed_and_masked(
    load: Load, usr: Path, etc: Path
) -> None:
    write(usr, "web.yaml", "command: [usr]")
    over = write(etc, "web.yaml", "")
    assert command(load()) is None
    over.write_text("command: [etc]")
    assert command(load()) == "etc"
    over.unlink()
    assert command(load()) == "usr"
    over.write_text("")
    assert command(load()) is None
