"""The cache between passes: what is read again, what stays in force, who owns a name."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.loader import Loader, load_sources, validate_paths
from reconciler.loader.sources import read_file
from reconciler.model.world import Desired, SourceStatus
from tests.unit.loader.samples import write

Load = Callable[[], Desired]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "specs"
    directory.mkdir()
    return directory


@pytest.fixture(params=["one loader", "a new loader each time"])
def load(request: pytest.FixtureRequest, source: Path, tmp_path: Path) -> Load:
    """Return a function that loads the source: as the daemon does, and as `apply` does."""
    state_dir = str(tmp_path / "state")
    if request.param == "one loader":
        loader = Loader(state_dir)
        return lambda: loader.load([str(source)])
    return lambda: load_sources([str(source)], state_dir)


def codes(desired: Desired) -> list[str]:
    return [problem.name for problem in desired.problems]


def cache_file(tmp_path: Path) -> Path:
    [path] = (tmp_path / "state" / "loader").iterdir()
    return path


# --- what is in force ----------------------------------------------------------------------


def test_an_invalid_file_keeps_its_last_good_spec_in_force(load: Load, source: Path) -> None:
    file = write(source, "web.yaml")
    good = load().specs["web"]
    for text in ("command: [a", "", "comand: [a]", "name: 5\ncommand: [a]", "\0"):
        file.write_text(text)
        desired = load()
        assert desired.specs == {"web": good}
        assert desired.invalid == {"web"}
        assert desired.unknown_files == ()
        assert desired.problems[0].file == str(file)
    file.write_text("command: [b]")
    desired = load()
    assert desired.specs["web"].config.command == ("b",)
    assert (desired.invalid, desired.problems) == (frozenset(), ())


def test_a_file_in_trouble_that_was_never_good_is_an_unknown_file(load: Load, source: Path) -> None:
    write(source, "ok.yaml")
    file = write(source, "web.yaml", "command: [a")
    desired = load()
    assert list(desired.specs) == ["ok"]
    assert desired.unknown_files == (str(file),)
    assert desired.invalid == frozenset()


def test_an_invalid_document_with_a_name_is_no_unknown_file(load: Load, source: Path) -> None:
    write(source, "web.yaml", "comand: [a]")
    desired = load()
    assert desired.invalid == {"web"}
    assert desired.unknown_files == ()
    assert desired.specs == {}


def test_a_deleted_file_takes_its_spec_along(load: Load, source: Path) -> None:
    file = write(source, "web.yaml")
    write(source, "ok.yaml")
    load()
    file.unlink()
    desired = load()
    assert list(desired.specs) == ["ok"]
    assert desired.problems == ()


def test_names_that_a_file_in_trouble_gave_before_stay_in_force(load: Load, source: Path) -> None:
    file = write(source, "all.yaml", "command: [a]\n---\nname: b\ncommand: [b]\n")
    load()
    file.write_text("command: [changed]\n---\nname: c\ncommand: 5\n")
    desired = load()
    assert desired.specs["all"].config.command == ("changed",)
    assert desired.specs["b"].config.command == ("b",)
    assert desired.invalid == {"b", "c"}


def test_a_document_that_a_good_file_no_longer_has_is_gone(load: Load, source: Path) -> None:
    file = write(source, "all.yaml", "command: [a]\n---\nname: b\ncommand: [b]\n")
    load()
    file.write_text("command: [a]\n")
    assert list(load().specs) == ["all"]


def test_a_renamed_and_broken_file_keeps_the_spec_of_the_name_it_gives(
    load: Load, source: Path
) -> None:
    file = write(source, "old.yaml", "name: web\ncommand: [a]\n")
    good = load().specs["web"]
    file.unlink()
    write(source, "new.yaml", "name: web\ncommand: 5\n")
    desired = load()
    assert desired.specs == {"web": good}
    assert desired.invalid == {"web"}


# --- two files, one name -------------------------------------------------------------------


def test_of_two_new_files_with_one_name_the_first_by_name_wins(load: Load, source: Path) -> None:
    first = write(source, "a.yaml", "name: web\ncommand: [a]\n")
    second = write(source, "b.yaml", "command: [x]\n---\nname: web\ncommand: [b]\n")
    desired = load()
    assert desired.specs["web"].config.command == ("a",)
    assert desired.invalid == {"web"}
    [problem] = desired.problems
    assert problem.describe() == (
        f"{second}:3:1: name: the name 'web' is taken by {first}:1, which stays in force;"
        " rename or remove one of them"
    )
    assert (problem.name, problem.spec_name) == ("SpecDuplicateName", "web")


def test_the_incumbent_keeps_its_name_against_a_file_that_sorts_before_it(
    load: Load, source: Path
) -> None:
    incumbent = write(source, "z.yaml", "name: web\ncommand: [z]\n")
    load()
    rival = write(source, "a.yaml", "name: web\ncommand: [a]\n")
    for _ in range(2):
        desired = load()
        assert desired.specs["web"].config.command == ("z",)
        assert [problem.file for problem in desired.problems] == [str(rival)]
    incumbent.write_text("name: web\ncommand: [broken")
    desired = load()
    assert desired.specs["web"].config.command == ("z",)
    assert sorted(codes(desired)) == ["SpecDuplicateName", "SpecSyntax"]
    incumbent.unlink()
    desired = load()
    assert desired.specs["web"].config.command == ("a",)
    assert desired.problems == ()


def test_one_name_twice_in_one_file_is_a_duplicate_too(load: Load, source: Path) -> None:
    write(source, "web.yaml", "command: [a]\n---\nname: web\ncommand: [b]\n")
    for _ in range(2):
        desired = load()
        assert desired.specs["web"].config.command == ("a",)
        assert [(problem.name, problem.line) for problem in desired.problems] == [
            ("SpecDuplicateName", 3)
        ]


def test_a_name_that_files_of_different_stems_give_in_two_sources_is_a_duplicate(
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, f"{name}.json", '{"name": "web", "command": ["a"]}')
    desired = validate_paths([str(tmp_path / "two"), str(tmp_path / "one")])
    assert codes(desired) == ["SpecDuplicateName"]
    assert desired.specs["web"].origin.file == str(tmp_path / "one" / "one.json")


# --- sources that cannot be seen ------------------------------------------------------------


def test_a_source_that_goes_missing_keeps_its_specs_in_force(
    load: Load, source: Path, tmp_path: Path
) -> None:
    write(source, "web.yaml")
    good = load().specs
    source.rename(tmp_path / "away")
    for _ in range(2):
        desired = load()
        assert desired.specs == good
        assert desired.invalid == {"web"}
        assert [one.status for one in desired.sources] == [SourceStatus.MISSING]
        assert codes(desired) == ["SourceMissing"]
        assert desired.unknown_files == ()
    (tmp_path / "away").rename(source)
    desired = load()
    assert (desired.specs, desired.invalid, desired.problems) == (good, frozenset(), ())


def test_an_emptied_source_has_a_status_and_remembers_until_its_files_are_back(
    load: Load, source: Path
) -> None:
    file = write(source, "web.yaml")
    good = load().specs["web"]
    file.unlink()
    for _ in range(2):
        desired = load()
        assert [one.status for one in desired.sources] == [SourceStatus.EMPTY]
        assert (desired.specs, desired.problems, desired.invalid) == ({}, (), frozenset())
    write(source, "web.yaml", "comma")
    desired = load()
    assert desired.specs == {"web": good}
    assert desired.invalid == {"web"}


def test_a_source_may_be_a_file_and_overlap_with_a_directory(load: Load, source: Path) -> None:
    file = write(source, "web.yaml")
    desired = validate_paths([str(source), str(file), str(source)])
    assert list(desired.specs) == ["web"]
    assert desired.problems == ()
    assert [one.path for one in desired.sources] == [str(source), str(file)]
    assert {one.status for one in desired.sources} == {SourceStatus.OK}
    assert list(load().specs) == ["web"]


@pytest.mark.parametrize("path", ["", "nowhere", "a\0b", "x" * 5000])
def test_a_path_that_names_nothing_is_a_problem(path: str, tmp_path: Path) -> None:
    desired = validate_paths([str(tmp_path / "x" / path)])
    assert codes(desired) in (["SourceMissing"], ["SourceUnreadable"])
    assert desired.problems[0].describe().isprintable()


# --- what is read again ---------------------------------------------------------------------


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record which files are read; the real reading is done."""
    reads: list[str] = []

    def reading(file: str) -> object:
        reads.append(os.path.basename(file))
        return read_file(file)

    monkeypatch.setattr("reconciler.loader.reader.read_file", reading)
    return reads


def test_only_changed_files_are_read_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = count_reads(monkeypatch)
    now = [file.stat().st_ctime for file in (write(source, "a.yaml"), write(source, "b.yaml"))][1]
    state_dir = str(tmp_path / "state")

    def load_at(seconds: float) -> Desired:
        reads.clear()
        return Loader(state_dir, lambda: now + seconds).load([str(source)])

    load_at(10)
    assert reads == ["a.yaml", "b.yaml"]
    desired = load_at(20)
    assert reads == []
    assert set(desired.specs) == {"a", "b"}
    write(source, "b.yaml", "command: [changed]")
    desired = load_at(30)
    assert reads == ["b.yaml"]
    assert desired.specs["b"].config.command == ("changed",)


def test_a_file_that_was_young_when_read_is_read_again_until_it_is_old(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = count_reads(monkeypatch)
    file = write(source, "a.yaml")
    now = file.stat().st_ctime
    loader = Loader(str(tmp_path / "state"), lambda: now)
    for seconds, expected in ((0.5, 1), (1.0, 1), (5.0, 1), (6.0, 0)):
        reads.clear()
        loader._clock = lambda seconds=seconds: now + seconds  # type: ignore[misc]
        loader.load([str(source)])
        assert len(reads) == expected, f"after {seconds} s"


def test_a_change_within_the_same_tick_and_of_the_same_size_is_seen(
    source: Path, tmp_path: Path
) -> None:
    file = write(source, "a.yaml", "command: [a]")
    before = file.stat()
    loader = Loader(str(tmp_path / "state"))
    loader.load([str(source)])
    file.write_text("command: [b]")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert loader.load([str(source)]).specs["a"].config.command == ("b",)


def test_a_pass_over_unchanged_files_imports_neither_yaml_nor_jsonschema(
    source: Path, tmp_path: Path
) -> None:
    write(source, "good.yaml")
    write(source, "bad.yaml", "command: 5")
    script = (
        "import sys; from reconciler.loader.load import Loader; from reconciler.linux import clock;"
        f"desired = Loader({str(tmp_path / 'state')!r}, lambda: clock.wall_s() + 60)"
        f".load([{str(source)!r}]);"
        "print(sorted(desired.specs), [p.line for p in desired.problems],"
        " 'yaml' in sys.modules, 'jsonschema' in sys.modules)"
    )
    first, second = (
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True
        ).stdout.strip()
        for _ in range(2)
    )
    assert first == "['good'] [1] True True"
    assert second == "['good'] [1] False False"


# --- the cache file ---------------------------------------------------------------------------


def test_the_cache_is_private_and_written_only_when_something_changed(
    source: Path, tmp_path: Path
) -> None:
    file = write(source, "a.yaml")
    later = file.stat().st_ctime + 60
    for _ in range(2):
        Loader(str(tmp_path / "state"), lambda: later).load([str(source)])
    cache = cache_file(tmp_path)
    inode = cache.stat().st_ino
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    Loader(str(tmp_path / "state"), lambda: later).load([str(source)])
    assert cache_file(tmp_path).stat().st_ino == inode


DAMAGES = ["", "{", "null", "[]", "{}", '{"format": 3}', "\0\xff", "[" * 100_000]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda text: repr(text[:15]))
def test_a_damaged_cache_is_logged_and_made_anew(
    damage: str, source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(source, "a.yaml")
    load_sources([str(source)], str(tmp_path / "state"))
    cache = cache_file(tmp_path)
    whole = cache.read_text()
    for text in (
        damage,
        whole[: len(whole) // 2],
        whole.replace('"prints":{"', '"prints":{"x":[],"'),
    ):
        cache.write_text(text)
        caplog.clear()
        desired = load_sources([str(source)], str(tmp_path / "state"))
        assert list(desired.specs) == ["a"]
        assert desired.problems == ()
        [record] = caplog.records
        assert record.levelno == logging.WARNING
        assert record.__dict__["code"] == 41
        assert record.__dict__["error_name"] == "RecordCorrupt"
        assert json.loads(cache.read_text())["files"].keys() == {str(source / "a.yaml")}


def test_another_version_s_cache_gives_last_good_specs_but_no_results(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(source, "a.yaml")
    write(source, "b.yaml")
    good = load_sources([str(source)], str(tmp_path / "state")).specs["a"]
    file.write_text("command: [")
    cache = cache_file(tmp_path)
    cache.write_text(json.dumps(json.loads(cache.read_text()) | {"version": "0.0.0"}))
    reads = count_reads(monkeypatch)
    desired = load_sources([str(source)], str(tmp_path / "state"))
    assert desired.specs["a"] == good
    assert reads == ["a.yaml", "b.yaml"]


def test_a_cache_that_cannot_be_written_is_logged_once_and_stops_nothing(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(source, "a.yaml")
    (tmp_path / "state").write_text("a file where the directory should be")
    loader = Loader(str(tmp_path / "state"))
    for _ in range(3):
        assert list(loader.load([str(source)]).specs) == ["a"]
    messages = [record.getMessage() for record in caplog.records]
    assert len([text for text in messages if "cannot write the load cache" in text]) == 1
    (tmp_path / "state").unlink()
    loader.load([str(source)])
    assert cache_file(tmp_path).exists()
