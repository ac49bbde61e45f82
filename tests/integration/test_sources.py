"""Source directories as they really are: editors, config maps, FIFOs, permissions, full disks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.loader import Loader, load_sources, validate_paths
from reconciler.loader.sources import MAX_BYTES
from reconciler.model.world import Desired, SourceStatus

GOOD = "command: [sleep, inf]\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "specs"
    directory.mkdir()
    (directory / "ok.yaml").write_text(GOOD)
    return directory


def told(desired: Desired) -> list[str]:
    return [
        f"{os.path.basename(problem.file or '')}: {problem.message} [{problem.name}]"
        for problem in desired.problems
    ]


def test_files_count_by_their_ending_and_nothing_else_in_a_directory_does(source: Path) -> None:
    for name in ("a.yml", "b.json"):
        (source / name).write_text('{"command": ["a"]}')
    ignored = [
        *("README", "web.yaml~", "#web.yaml#", "#web.yaml", ".web.yaml", ".web.yaml.swp"),
        *("web.yaml.bak", "4913", ".#web.yaml", "web.yaml.swp", "~web.yaml", "web.YAML.tmp"),
    ]
    for name in ignored:
        (source / name).write_text("not: [a spec")
    (source / "web.yaml.d").mkdir()
    (source / "sub.yaml").mkdir()
    (source / "sub.yaml" / "inner.yaml").write_text("not: [a spec")
    (source / "to-a-directory.yaml").symlink_to("sub.yaml")
    desired = validate_paths([str(source)])
    assert sorted(desired.specs) == ["a", "b", "ok"]
    assert desired.problems == ()


def test_what_is_no_regular_file_is_a_problem_and_never_blocks(source: Path) -> None:
    os.mkfifo(source / "fifo.yaml")
    (source / "zero.yaml").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(source)  # sun_path has 108 bytes
        try:
            listener.bind("socket.yaml")
        finally:
            os.chdir(here)
    (source / "nowhere.yaml").symlink_to("gone.yaml.target")
    (source / "loop.yaml").symlink_to("loop.yaml")
    desired = validate_paths([str(source)])
    assert told(desired) == [
        "fifo.yaml: cannot read file: it is a FIFO [SpecUnreadable]",
        "loop.yaml: cannot read file: too many levels of symbolic links [SpecUnreadable]",
        (
            "nowhere.yaml: cannot read file: the link points to nothing (gone.yaml.target)"
            " [SpecUnreadable]"
        ),
        "socket.yaml: cannot read file: it is a socket [SpecUnreadable]",
        "zero.yaml: cannot read file: it is a device [SpecUnreadable]",
    ]
    assert list(desired.specs) == ["ok"]
    assert len(desired.unknown_files) == 5


def test_a_fifo_that_takes_the_place_of_a_good_file_leaves_its_spec_in_force(
    source: Path, tmp_path: Path
) -> None:
    loader = Loader(str(tmp_path / "state"))
    good = loader.load([str(source)])
    (source / "ok.yaml").unlink()
    os.mkfifo(source / "ok.yaml")
    desired = loader.load([str(source)])
    assert desired.specs == good.specs
    assert desired.invalid == {"ok"}
    assert desired.unknown_files == ()


def test_a_file_of_more_than_one_mebibyte_is_refused_unread(source: Path) -> None:
    with open(source / "big.yaml", "wb") as stream:
        stream.truncate(2**40)
    (source / "edge.yaml").write_text(GOOD + "#" * (MAX_BYTES - len(GOOD)))
    desired = validate_paths([str(source)])
    assert told(desired) == [
        (
            "big.yaml: cannot read file: it has 1099511627776 bytes or more, the most is 1048576"
            " (1Mi) [SpecTooLarge]"
        )
    ]
    assert sorted(desired.specs) == ["edge", "ok"]


def test_a_name_that_cannot_be_printed_is_a_problem_that_can(source: Path) -> None:
    for name in (b"\xff.yaml", b"a\nb.yaml"):
        with open(os.path.join(os.fsencode(source), name), "w") as stream:
            stream.write(GOOD)
    desired = validate_paths([str(source)])
    assert told(desired) == [
        (
            "\\udcff.yaml: cannot take file: its name has characters that cannot be printed"
            " [SpecUnreadable]"
        ),
        (
            "a\\nb.yaml: cannot take file: its name has characters that cannot be printed"
            " [SpecUnreadable]"
        ),
    ]
    assert list(desired.specs) == ["ok"]
    assert [one.status for one in desired.sources] == [SourceStatus.OK]


def test_a_config_map_is_swapped_by_its_data_link(tmp_path: Path) -> None:
    """Kubernetes: web.yaml -> ..data/web.yaml, ..data -> ..2024; a rename swaps ..data."""
    source = tmp_path / "config"
    for version in ("..1", "..2"):
        (source / version).mkdir(parents=True)
        (source / version / "web.yaml").write_text(f"command: [version, '{version}']\n")
    (source / "..data").symlink_to("..1")
    (source / "web.yaml").symlink_to("..data/web.yaml")
    loader = Loader(str(tmp_path / "state"))
    first = loader.load([str(source)]).specs["web"]
    (source / "..data_tmp").symlink_to("..2")
    os.rename(source / "..data_tmp", source / "..data")
    desired = loader.load([str(source)])
    assert first.config.command == ("version", "..1")
    assert desired.specs["web"].config.command == ("version", "..2")
    assert desired.specs["web"].origin.file == str(source / "web.yaml")
    assert desired.problems == ()


def test_a_source_that_is_a_link_is_known_by_its_real_path(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    desired = validate_paths([str(tmp_path / "link")])
    assert [one.path for one in desired.sources] == [str(source)]
    assert list(desired.specs) == ["ok"]


def test_files_that_come_and_go_while_they_are_read_are_never_an_error(source: Path) -> None:
    """One thread writes in place, replaces and deletes; the other loads."""
    done = threading.Event()
    file = source / "busy.yaml"

    def disturb() -> None:
        while not done.is_set():
            file.write_text(GOOD)
            (source / "busy.tmp").write_text(GOOD)
            os.rename(source / "busy.tmp", file)
            file.unlink()

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        loader = Loader(None)
        for _ in range(300):
            desired = loader.load([str(source)])
            assert "ok" in desired.specs
            # Caught between truncation and writing: half-written, so invalid, and nothing else.
            assert {problem.message for problem in desired.problems} <= {"the file is empty"}
    finally:
        done.set()
        thread.join()


def test_a_half_written_file_keeps_the_container_s_last_good_spec(
    source: Path, tmp_path: Path
) -> None:
    content = "command: [sleep, inf]\nenv: {A: b}\n"
    (source / "web.yaml").write_text(content)
    loader = Loader(str(tmp_path / "state"))
    good = loader.load([str(source)]).specs["web"]
    for length in (0, 3, 15, 30):
        (source / "web.yaml").write_text(content[:length])
        desired = loader.load([str(source)])
        assert desired.specs["web"] == good
        assert desired.invalid == {"web"}
        assert [problem.file for problem in desired.problems] == [str(source / "web.yaml")]


def test_a_file_in_place_of_a_directory_on_the_way_makes_the_source_unreadable(
    source: Path, tmp_path: Path
) -> None:
    loader = Loader(str(tmp_path / "state"))
    good = loader.load([str(source)]).specs
    source.rename(tmp_path / "away")
    source.symlink_to(tmp_path / "away" / "ok.yaml" / "below")
    desired = loader.load([str(tmp_path / "away" / "ok.yaml" / "below")])
    assert told(desired) == ["below: cannot read source: not a directory [SourceUnreadable]"]
    assert [one.status for one in desired.sources] == [SourceStatus.UNREADABLE]
    source.unlink()
    (tmp_path / "away").rename(source)
    assert loader.load([str(source)]).specs == good


READ_AS_NOBODY = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
from reconciler.loader import validate_paths
for problem in validate_paths(sys.argv[1:]).problems:
    print(os.path.basename(problem.file), problem.message, problem.name, sep=": ")
"""


@pytest.mark.requires_root
def test_no_permission_is_told_for_a_file_and_for_a_source() -> None:
    """By a process without privileges, since root may read everything."""
    with tempfile.TemporaryDirectory(prefix="rc-", dir="/tmp") as base:
        os.chmod(base, 0o755)
        open_source, closed_source = Path(base, "open"), Path(base, "closed")
        open_source.mkdir(mode=0o755)
        (open_source / "secret.yaml").write_text(GOOD)
        (open_source / "secret.yaml").chmod(0o600)
        closed_source.mkdir(mode=0o700)
        # The interpreter and the package are imported before the user is changed.
        script = "import yaml, jsonschema, hashlib, reconciler.loader.parse\n" + READ_AS_NOBODY
        output = subprocess.run(
            [sys.executable, "-c", script, str(open_source), str(closed_source)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert output.splitlines() == [
        "closed: cannot read source: permission denied: SourceUnreadable",
        "secret.yaml: cannot read file: permission denied: SpecUnreadable",
    ]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with no space left."""
    directory = tmp_path / "full"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(directory)], check=True)
    try:
        (directory / "filler").write_bytes(b"x" * 4096)
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@pytest.mark.requires_root
@pytest.mark.requires_command("mount", "umount")
def test_a_full_disk_for_state_is_logged_with_its_code_and_stops_nothing(
    source: Path, full_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (full_disk / "loader").mkdir()
    desired = load_sources([str(source)], str(full_disk))
    assert list(desired.specs) == ["ok"]
    [record] = caplog.records
    assert "cannot write the load cache: no space left on device" in record.getMessage().lower()
    assert record.__dict__["error_name"] == "NoSpace"
    assert os.listdir(full_disk / "loader") == []
    (full_disk / "filler").unlink()
    assert list(load_sources([str(source)], str(full_disk)).specs) == ["ok"]
    assert len(os.listdir(full_disk / "loader")) == 1
