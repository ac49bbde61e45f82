"""What wakes the daemon: real inotify events of real files, and looking where it is exhausted."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.daemon.files import FileWatcher, find_directories, is_editors
from reconciler.daemon.wakeups import WakeUp

PATIENCE_S = 10.0
QUIET_S = 0.7  # longer than watchdog holds back one half of a move


@pytest.fixture
def wake() -> Iterator[WakeUp]:
    made = WakeUp()
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "conf"
    made.mkdir()
    return made


@pytest.fixture
def arm(wake: WakeUp) -> Iterator[Callable[..., FileWatcher]]:
    """Return a function that watches sources; the watchers are closed after the test."""
    made: list[FileWatcher] = []

    def start(*sources: Path) -> FileWatcher:
        watcher = FileWatcher([str(source) for source in sources], wake.set)
        made.append(watcher)
        watcher.arm()
        return watcher

    yield start
    for watcher in made:
        watcher.close()


def is_woken(wake: WakeUp, patience_s: float = PATIENCE_S) -> bool:
    ready = bool(select.select([wake.fileno()], [], [], patience_s)[0])
    if ready:
        wake.clear()
    return ready


def settle(wake: WakeUp) -> None:
    while is_woken(wake, QUIET_S):
        pass


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda source: (source / "new.yaml").write_text("x"),
    "edited": lambda source: (source / "old.yaml").write_text("y"),
    "removed": lambda source: (source / "old.yaml").unlink(),
    "renamed": lambda source: (source / "old.yaml").rename(source / "other.yaml"),
    "moved in from elsewhere": lambda source: (source.parent / "out").rename(source / "in.yaml"),
    "moved over by an editor": lambda source: (source / ".old.tmp").rename(source / "old.yaml"),
    "made readable": lambda source: (source / "old.yaml").chmod(0o600),
    "the directory removed": lambda source: source.rename(source.parent / "away"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_wakes(
    change: str, wake: WakeUp, source: Path, arm: Callable[..., FileWatcher]
) -> None:
    for path in (source / "old.yaml", source / ".old.tmp", source.parent / "out"):
        path.write_text("x")
    arm(source)
    CHANGES[change](source)
    assert is_woken(wake)


def test_reading_and_editors_own_files_do_not_wake(
    wake: WakeUp, source: Path, arm: Callable[..., FileWatcher]
) -> None:
    (source / "old.yaml").write_text("x")
    arm(source)
    (source / "old.yaml").read_text()
    (source / ".old.yaml.swp").write_text("x")
    (source / "old.yaml~").write_text("x")
    (source.parent / "unrelated").write_text("x")
    assert not is_woken(wake, QUIET_S)


def test_a_link_that_is_swapped_wakes_and_its_new_target_is_watched(
    wake: WakeUp, tmp_path: Path, arm: Callable[..., FileWatcher]
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "current"
    link.symlink_to("one")
    watcher = arm(link)
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(link)
    assert is_woken(wake)
    settle(wake)
    watcher.arm()
    (tmp_path / "two" / "a.yaml").write_text("x")
    assert is_woken(wake)


def test_a_config_map_that_swaps_its_data_link_wakes(
    wake: WakeUp, source: Path, arm: Callable[..., FileWatcher]
) -> None:
    (source / "..one").mkdir()
    (source / "..data").symlink_to("..one")
    arm(source)
    (source / "..tmp").symlink_to("..two")
    settle(wake)
    (source / "..tmp").rename(source / "..data")
    assert is_woken(wake)


def test_a_source_of_which_nothing_exists_is_watched_for_from_the_nearest_directory(
    wake: WakeUp, tmp_path: Path, arm: Callable[..., FileWatcher]
) -> None:
    deep = tmp_path / "a" / "b" / "conf"
    watcher = arm(deep)
    for directory in (tmp_path / "a", tmp_path / "a" / "b", deep):
        directory.mkdir()
        assert is_woken(wake), directory
        watcher.arm()
        settle(wake)
    (deep / "web.yaml").write_text("x")
    assert is_woken(wake)


def test_a_directory_that_is_made_again_is_watched_again(
    wake: WakeUp, source: Path, arm: Callable[..., FileWatcher]
) -> None:
    watcher = arm(source)
    source.rmdir()
    source.mkdir()
    assert is_woken(wake)
    watcher.arm()
    settle(wake)
    (source / "web.yaml").write_text("x")
    assert is_woken(wake)


def test_a_single_file_is_watched_and_its_neighbours_are_not(
    wake: WakeUp, source: Path, arm: Callable[..., FileWatcher]
) -> None:
    arm(source / "web.yaml")
    (source / "other.yaml").write_text("x")
    assert not is_woken(wake, QUIET_S)
    (source / "web.yaml").write_text("x")
    assert is_woken(wake)


def test_directories_to_watch_are_the_sources_and_those_above_them(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.mkdir()
    top = os.path.realpath(tmp_path)
    assert find_directories([str(conf)]) == {f"{top}/conf": None, top: frozenset({"conf"})}
    both = find_directories([str(tmp_path / "x" / "y"), str(tmp_path / "z.yaml")])
    assert both == {top: frozenset({"x", "z.yaml"})}


def test_editors_files_are_known_by_their_names() -> None:
    assert all(map(is_editors, (".web.yaml.swp", ".#web.yaml", "web.yaml~", ".git")))
    assert not any(map(is_editors, ("web.yaml", "..data", "..2026_01_01", "web.yaml.d")))


LIMITED = """
import pathlib, select, sys
pathlib.Path("/proc/sys/user/max_inotify_instances").write_text("0")
from reconciler.daemon.files import FileWatcher
source = pathlib.Path(sys.argv[1])
watcher = FileWatcher([str(source)], lambda: None)
try:
    watcher.arm()
except OSError as error:
    print("limit", error.errno, watcher.is_polling)
watcher.arm()
print("unchanged", watcher.has_changed())
(source / "web.yaml").write_text("x")
print("changed", watcher.has_changed())
watcher.arm()
print("armed", watcher.has_changed())
"""


def test_where_inotify_is_exhausted_files_are_looked_at(source: Path) -> None:
    """The limit is that of a user namespace of the test's own, so nobody else meets it."""
    run = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", LIMITED, source],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in run.stderr:
        pytest.skip(f"needs user namespaces: {run.stderr.strip()}")
    assert run.stdout.splitlines() == [
        "limit 24 True",
        "unchanged False",
        "changed True",
        "armed False",
    ], run.stderr
