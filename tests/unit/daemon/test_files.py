"""What wakes the daemon: real inotify events of real files, and looking where it is exhausted."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.daemon.files import FileWatcher
from reconciler.daemon.wakeups import WakeUp
from reconciler.loader.watched import find_watched

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


class Watching:
    """A watcher of a source; `arm` looks at what there is to be watched now."""

    def __init__(self, wake: WakeUp, source: Path, *references: Path) -> None:
        self.files = FileWatcher(lambda path: wake.set())
        self._source = str(source)
        self._references = [str(path) for path in references]
        self.arm()

    def arm(self) -> None:
        self.files.arm(find_watched([self._source], self._references))


@pytest.fixture
def arm(wake: WakeUp) -> Iterator[Callable[..., Watching]]:
    """Return a function that watches a source; the watchers are closed after the test."""
    made: list[Watching] = []

    def start(source: Path, *references: Path) -> Watching:
        made.append(Watching(wake, source, *references))
        return made[-1]

    yield start
    for watching in made:
        watching.files.close()


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
    change: str, wake: WakeUp, source: Path, arm: Callable[..., Watching]
) -> None:
    for path in (source / "old.yaml", source / ".old.tmp", source.parent / "out"):
        path.write_text("x")
    arm(source)
    CHANGES[change](source)
    assert is_woken(wake)


def test_reading_and_editors_own_files_do_not_wake(
    wake: WakeUp, source: Path, arm: Callable[..., Watching]
) -> None:
    (source / "old.yaml").write_text("x")
    arm(source)
    (source / "old.yaml").read_text()
    (source / ".old.yaml.swp").write_text("x")
    (source / "old.yaml~").write_text("x")
    (source.parent / "unrelated").write_text("x")
    assert not is_woken(wake, QUIET_S)


def test_a_link_that_is_swapped_wakes_and_its_new_target_is_watched(
    wake: WakeUp, tmp_path: Path, arm: Callable[..., Watching]
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
    wake: WakeUp, source: Path, arm: Callable[..., Watching]
) -> None:
    (source / "..one").mkdir()
    (source / "..data").symlink_to("..one")
    arm(source)
    (source / "..tmp").symlink_to("..two")
    settle(wake)
    (source / "..tmp").rename(source / "..data")
    assert is_woken(wake)


def test_a_source_of_which_nothing_exists_is_watched_for_from_the_nearest_directory(
    wake: WakeUp, tmp_path: Path, arm: Callable[..., Watching]
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
    wake: WakeUp, source: Path, arm: Callable[..., Watching]
) -> None:
    watcher = arm(source)
    source.rmdir()
    source.mkdir()
    assert is_woken(wake)
    watcher.arm()
    while is_woken(wake, QUIET_S):  # till then it may be taken for the old one
        watcher.arm()
    (source / "web.yaml").write_text("x")
    assert is_woken(wake)


def test_a_single_file_is_watched_and_its_neighbours_are_not(
    wake: WakeUp, source: Path, arm: Callable[..., Watching]
) -> None:
    arm(source / "web.yaml")
    (source / "other.yaml").write_text("x")
    assert not is_woken(wake, QUIET_S)
    (source / "web.yaml").write_text("x")
    assert is_woken(wake)


REFERENCED: dict[str, Callable[[Path], object]] = {
    "an env file edited": lambda base: (base / "env" / ".env").write_text("B=c"),
    "an env file that was missing": lambda base: (base / "env" / "later.env").write_text("B=c"),
    "its directory replaced": lambda base: (base / "env").rename(base / "old"),
    "a file of a tree": lambda base: (base / "tree" / "deep" / ".hidden").write_text("x"),
    "a file of a tree removed": lambda base: (base / "tree" / "file").unlink(),
    "a drop-in": lambda base: (base / "conf" / "web.yaml.d" / "1.yaml").write_text("x"),
    "a drop-in for all": lambda base: (base / "conf" / "container.d" / "1.yaml").write_text("x"),
    "the target of a linked spec": lambda base: (base / "else" / "db.yaml").write_text("x"),
    "the target of a linked drop-in": lambda base: (base / "else" / "drop.yaml").write_text("x"),
    "git's lock taken away": lambda base: (base / ".git" / "index.lock").unlink(),
}


@pytest.fixture
def referring(source: Path) -> Path:
    """Make all that a change of can matter, beside the source."""
    base = source.parent
    for name in ("env", "tree/deep", "conf/web.yaml.d", "conf/container.d", "else", ".git"):
        (base / name).mkdir(parents=True)
    for name in ("env/.env", "tree/file", "else/db.yaml", "else/drop.yaml", ".git/index.lock"):
        (base / name).write_text("")
    (source / "db.yaml").symlink_to("../else/db.yaml")
    (source / "web.yaml.d" / "2.yaml").symlink_to("../../else/drop.yaml")
    return base


@pytest.mark.parametrize("change", REFERENCED)
def test_a_change_of_what_a_source_refers_to_wakes(
    change: str, wake: WakeUp, referring: Path, arm: Callable[..., Watching]
) -> None:
    references = [referring / "env" / ".env", referring / "env" / "later.env", referring / "tree"]
    arm(referring / "conf", *references)
    REFERENCED[change](referring)
    assert is_woken(wake)


@pytest.mark.parametrize("change", [*CHANGES, *REFERENCED])
def test_looking_sees_what_inotify_tells(change: str, source: Path, referring: Path) -> None:
    for path in (source / "old.yaml", source / ".old.tmp", referring / "out"):
        path.write_text("x")
    references = [referring / "env" / ".env", referring / "env" / "later.env", referring / "tree"]
    watcher = FileWatcher(lambda path: None)
    watcher.is_polling = True
    watcher.arm(find_watched([str(source)], map(str, references)))
    assert not watcher.has_changed()
    action = CHANGES.get(change) or REFERENCED[change]
    action(source if change in CHANGES else referring)
    assert watcher.has_changed()


def test_looking_passes_over_what_inotify_passes_over(source: Path) -> None:
    watcher = FileWatcher(lambda path: None)
    watcher.is_polling = True
    watcher.arm(find_watched([str(source)], []))
    (source / ".web.yaml.swp").write_text("x")
    (source.parent / "unrelated").write_text("x")
    assert not watcher.has_changed()


def test_ten_thousand_files_in_a_directory_need_one_watch(
    source: Path, arm: Callable[..., Watching]
) -> None:
    for number in range(10_000):
        (source / f"c{number}.yaml").touch()
    arm(source)
    assert count_watches() == 3  # the directory, and two above it


def count_watches() -> int:
    """Return how many inotify watches this process has (proc_pid_fdinfo(5))."""
    listing = subprocess.run(
        ["grep", "-rhs", "^inotify wd:", f"/proc/{os.getpid()}/fdinfo"],
        capture_output=True,
        check=False,
    )
    return listing.stdout.count(b"\n")


def test_what_did_not_change_is_not_watched_anew(
    wake: WakeUp, source: Path, arm: Callable[..., Watching]
) -> None:
    watching = arm(source)
    threads = set(threading.enumerate())
    watching.arm()
    assert set(threading.enumerate()) == threads
    (source / "web.yaml.d").mkdir()
    watching.arm()
    assert len(set(threading.enumerate()) - threads) == 1


@pytest.mark.requires_root
def test_a_directory_that_may_not_be_read_is_watched_once_it_may() -> None:
    """By a process without privileges, since root may read everything."""
    done = subprocess.run(
        [sys.executable, "-c", UNREADABLE], capture_output=True, text=True, check=False
    )
    assert done.stdout == "closed: 0 open: 1\n", done.stderr


UNREADABLE = """
import os, tempfile, threading
from reconciler.daemon import files
from reconciler.loader.watched import Interest
from watchdog.observers import Observer
source = tempfile.mkdtemp(dir="/tmp")
os.chown(source, 65534, 65534)
try:
    os.setegid(65534); os.seteuid(65534)
    woken = threading.Event()
    watcher = files.FileWatcher(lambda path: woken.set())
    os.chmod(source, 0)
    watcher.arm({source: Interest(has_specs=True)})
    print("closed:", len(watcher._armed), end=" ")
    os.chmod(source, 0o700)
    watcher.arm({source: Interest(has_specs=True)})
    open(source + "/web.yaml", "w").close()
    assert woken.wait(10)
    print("open:", len(watcher._armed))
    watcher.close()
    os.unlink(source + "/web.yaml")
finally:
    os.seteuid(0)
    os.rmdir(source)
"""


LIMITED = """
import pathlib, sys, threading
from reconciler.daemon.files import FileWatcher
from reconciler.loader.watched import find_watched
limit, value, base = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
pathlib.Path("/proc/sys/user", limit).write_text(value)
source = base / "conf"
watcher = FileWatcher(lambda path: None)
arm = lambda: watcher.arm(find_watched([str(source)], []))
try:
    arm()
except OSError as error:
    print("limit", error.errno, error.strerror, watcher.is_polling, threading.active_count())
arm()
print("unchanged", watcher.has_changed())
(source / "web.yaml.d" / "1.yaml").write_text("x")
print("changed", watcher.has_changed())
arm()
print("armed", watcher.has_changed())
"""


@pytest.mark.parametrize(
    ("limit", "value", "told"),
    [
        ("max_inotify_instances", 0, "24 inotify instance limit reached"),
        ("max_inotify_watches", 3, "28 inotify watch limit reached"),
    ],
)
def test_where_inotify_is_exhausted_files_are_looked_at(
    limit: str, value: int, told: str, source: Path
) -> None:
    """The limit is that of a user namespace of the test's own, so nobody else meets it."""
    (source / "web.yaml.d").mkdir()
    script = [sys.executable, "-c", LIMITED, limit, str(value), str(source.parent)]
    run = subprocess.run(
        ["unshare", "--user", "--map-root-user", *script],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in run.stderr:
        pytest.skip(f"needs user namespaces: {run.stderr.strip()}")
    assert run.stdout.splitlines() == [
        f"limit {told} True 1",
        "unchanged False",
        "changed True",
        "armed False",
    ], run.stderr


NO_THREADS = """
import pathlib, resource, sys
import watchdog.observers
from reconciler.daemon.files import FileWatcher
from reconciler.loader.watched import find_watched
base = pathlib.Path(sys.argv[1])
watcher = FileWatcher(lambda path: None)
watched = find_watched([str(base / "conf")], [])
if sys.argv[2] == "later":
    watcher.arm(watched)
(base / "conf" / "web.yaml.d").mkdir()
watched = find_watched([str(base / "conf")], [])
size = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**20, -1))  # less than the stack of a thread
try:
    watcher.arm(watched)
except OSError as error:
    print(error.errno, error.strerror, watcher.is_polling)
(base / "conf" / "web.yaml").write_text("x")
print(watcher.has_changed())
"""


@pytest.mark.parametrize("when", ["at once", "later"])
def test_where_no_thread_can_be_started_files_are_looked_at(when: str, source: Path) -> None:
    command = [sys.executable, "-c", NO_THREADS, str(source.parent), when]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout == "11 can't start new thread True\nTrue\n", run.stderr
