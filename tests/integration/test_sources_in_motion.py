"""Sources while somebody works on them: git, renames, whole directories, ten thousand files."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.loader import Loader, load_sources
from reconciler.loader.sources import Listing, list_source
from reconciler.model.world import Desired, SourceStatus

NAMES = [f"c{number}" for number in range(20)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory with a file and a drop-in for each of the names."""
    directory = tmp_path / "tree" / "specs"
    directory.mkdir(parents=True)
    fill(directory, "one")
    return directory


def fill(directory: Path, version: str) -> None:
    for name in NAMES:
        (directory / f"{name}.yaml").write_text(f"command: [sleep, '{version}']\n")
        (directory / f"{name}.yaml.d").mkdir(exist_ok=True)
        (directory / f"{name}.yaml.d" / "1.yaml").write_text(f"env: {{V: '{version}'}}\n")


def versions(desired: Desired) -> dict[str, tuple[str, str | None]]:
    return {
        name: (spec.config.command[1], spec.config.env.get("V"))
        for name, spec in desired.specs.items()
    }


def messages(desired: Desired) -> list[str]:
    return [problem.message for problem in desired.problems]


@contextmanager
def disturbing(action: Callable[[], None]) -> Iterator[threading.Event]:
    """Run `action` again and again in a thread; the event ends it."""
    done = threading.Event()

    def run() -> None:
        while not done.is_set():
            action()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        done.set()
        thread.join()


# --- git -----------------------------------------------------------------------------------


def git(tree: Path, *args: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(
        ["git", "-C", str(tree), *identity, *args], check=True, capture_output=True, text=True
    )


@pytest.fixture
def tree(source: Path) -> Path:
    """A working tree with the branches one and two."""
    tree = source.parent
    git(tree, "init", "-q", "-b", "one")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "one")
    git(tree, "checkout", "-qb", "two")
    fill(source, "two")
    git(tree, "commit", "-qam", "two")
    return tree


@pytest.mark.requires_command("git")
def test_no_container_vanishes_and_no_drop_in_while_git_switches_branches(
    tree: Path, source: Path, tmp_path: Path
) -> None:
    loader = Loader(str(tmp_path / "state"))
    loader.load([str(source)])
    branches = iter(["one", "two"] * 1000)
    seen = set()
    with disturbing(lambda: git(tree, "checkout", "-q", next(branches))):
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            found = versions(loader.load([str(source)]))
            assert sorted(found) == sorted(NAMES)
            assert {value for _, value in found.values()} <= {"one", "two"}
            seen |= set(found.values())
    assert {("one", "one"), ("two", "two")} <= seen
    git(tree, "checkout", "-q", "-f", "one")
    desired = loader.load([str(source)])
    assert set(versions(desired).values()) == {("one", "one")}
    assert desired.problems == ()


@pytest.mark.requires_command("git")
def test_what_is_gone_while_git_holds_its_lock_stands_until_the_lock_is_gone(
    tree: Path, source: Path, tmp_path: Path
) -> None:
    state_dir = str(tmp_path / "state")
    before = load_sources([str(source)], state_dir)
    lock = tree / ".git" / "index.lock"
    lock.touch()
    (source / "c0.yaml").unlink()
    (source / "c1.yaml.d" / "1.yaml").unlink()
    shutil.rmtree(source / "c2.yaml.d")
    for _ in range(2):
        desired = load_sources([str(source)], state_dir)
        assert desired.specs == before.specs
        assert desired.invalid == {"c0", "c1", "c2"}
        text = f"cannot read file: git replaces the files here ({lock} is there)"
        assert messages(desired) == [text] * 3
    lock.unlink()
    desired = load_sources([str(source)], state_dir)
    assert "c0" not in desired.specs
    assert versions(desired)["c1"] == versions(desired)["c2"] == ("two", None)
    assert desired.problems == ()


@pytest.mark.requires_command("git")
def test_the_lock_counts_for_a_file_that_is_a_source_by_itself(
    tree: Path, source: Path, tmp_path: Path
) -> None:
    file = source / "c0.yaml"
    loader = Loader(str(tmp_path / "state"))
    before = loader.load([str(file)]).specs
    (tree / ".git" / "index.lock").touch()
    for missing in (source / "c0.yaml.d" / "1.yaml", file):
        missing.unlink()
        desired = loader.load([str(file)])
        assert (desired.specs, desired.invalid) == (before, frozenset({"c0"}))
        assert len(desired.problems) == 1


@pytest.mark.requires_command("git")
def test_the_lock_of_a_linked_working_tree_counts_and_an_override_stays_one(
    tree: Path, tmp_path: Path
) -> None:
    linked = tmp_path / "linked"
    git(tree, "worktree", "add", "-q", str(linked), "one")
    lower, upper = str(tree / "specs"), str(linked / "specs")
    loader = Loader(str(tmp_path / "state"))
    loader.load([lower, upper])
    [git_dir] = (tree / ".git" / "worktrees").iterdir()
    (git_dir / "index.lock").touch()
    (linked / "specs" / "c0.yaml").unlink()
    desired = loader.load([lower, upper])
    assert set(versions(desired).values()) == {("one", "one")}
    assert desired.invalid == {"c0"}
    (git_dir / "index.lock").unlink()
    desired = loader.load([lower, upper])
    assert versions(desired)["c0"] == ("two", "one")  # the drop-in is still the upper one's
    assert desired.problems == ()


# --- renames -------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_file_that_moves_while_the_sources_are_listed_does_not_vanish(
    times: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the directory that is still to be listed into the one that just was."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "keep.yaml").write_text("command: [a]")
    (source / "c0.yaml").rename(other / "c0.yaml")
    loader = Loader(str(tmp_path / "state"))
    loader.load([str(source), str(other)])
    moves: list[str] = []

    def list_and_move(identity: str) -> Listing:
        listing = list_source(identity)
        if identity == str(source) and len(moves) < times:
            moves.append("to the source")
            os.replace(other / "c0.yaml", source / "c0.yaml")
        elif len(moves) < times:  # back, for the next look
            os.replace(source / "c0.yaml", other / "c0.yaml")
        return listing

    monkeypatch.setattr("reconciler.loader.look.list_source", list_and_move)
    desired = loader.load([str(source), str(other)])
    assert len(moves) == times
    assert desired.specs["c0"].source == str(source)
    assert (desired.problems, desired.invalid) == ((), frozenset())


def test_files_that_are_replaced_by_rename_are_never_in_trouble(
    source: Path, tmp_path: Path
) -> None:
    loader = Loader(str(tmp_path / "state"))

    def replace_all() -> None:
        for version in ("one", "two"):
            for file in (source / "c0.yaml", source / "c0.yaml.d" / "1.yaml"):
                text = file.read_text().replace("one", version).replace("two", version)
                (file.parent / ".new").write_text(text)
                (file.parent / ".new").rename(file)

    with disturbing(replace_all):
        for _ in range(200):
            desired = loader.load([str(source)])
            assert desired.problems == ()
            assert set(versions(desired)["c0"]) <= {"one", "two"}


def test_a_directory_that_is_replaced_as_a_whole_is_missing_at_worst(
    source: Path, tmp_path: Path
) -> None:
    loader = Loader(str(tmp_path / "state"))
    shutil.copytree(source, tmp_path / "next")
    fill(tmp_path / "next", "two")
    before = loader.load([str(source)])
    source.rename(tmp_path / "last")
    desired = loader.load([str(source)])
    assert desired.specs == before.specs
    assert [one.status for one in desired.sources] == [SourceStatus.MISSING]
    (tmp_path / "next").rename(source)
    desired = loader.load([str(source)])
    assert set(versions(desired).values()) == {("two", "two")}
    assert desired.problems == ()


def test_a_config_map_with_drop_ins_and_env_files_is_swapped_as_one(tmp_path: Path) -> None:
    config = tmp_path / "config"
    for version in ("1", "2"):
        data = config / f"..{version}"
        (data / "web.yaml.d").mkdir(parents=True)
        (data / "web.yaml").write_text(f"command: [sleep, '{version}']\nenvFile: x.env\n")
        (data / "web.yaml.d" / "1.yaml").write_text(f"env: {{V: '{version}'}}\n")
        (data / "x.env").write_text(f"E={version}\n")
    (config / "..data").symlink_to("..1")
    for name in ("web.yaml", "web.yaml.d", "x.env"):
        (config / name).symlink_to(f"..data/{name}")
    loader = Loader(str(tmp_path / "state"))
    for version in ("1", "2"):
        desired = loader.load([str(config)])
        assert versions(desired) == {"web": (version, version)}
        assert desired.specs["web"].config.env["E"] == version
        (config / "..tmp").symlink_to("..2")
        (config / "..tmp").rename(config / "..data")


# --- what is no file -------------------------------------------------------------------------


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # sun_path has 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


TROUBLES: dict[str, Callable[[Path], object]] = {
    "a FIFO": make_fifo,
    "a socket": make_socket,
    "a loop": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "too large": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**40),
    "half-written": lambda path: path.write_text("command: [sle"),
}


@pytest.mark.parametrize("make", TROUBLES.values(), ids=TROUBLES.keys())
@pytest.mark.parametrize("place", ["c0.yaml", "c0.yaml.d/1.yaml", "c0.env"])
def test_trouble_in_place_of_any_file_leaves_the_last_good_spec_in_force(
    place: str, make: Callable[[Path], object], source: Path, tmp_path: Path
) -> None:
    (source / "c0.env").write_text("E=e\n")
    (source / "c0.yaml").write_text("command: [sleep, one]\nenvFile: c0.env\n")
    state_dir = str(tmp_path / "state")
    before = load_sources([str(source)], state_dir)
    assert before.problems == ()
    good = (source / place).read_bytes()
    (source / place).unlink()
    make(source / place)
    for _ in range(2):  # with the cache of the time before, and of the trouble
        desired = load_sources([str(source)], state_dir)
        assert desired.specs == before.specs
        assert desired.invalid == {"c0"}
        assert desired.unknown_files == ()
        assert len(desired.problems) == 1
    (source / place).unlink()
    (source / place).write_bytes(good)
    desired = load_sources([str(source)], state_dir)
    assert (desired.specs, desired.problems) == (before.specs, ())


@pytest.mark.requires_root
def test_unreadable_drop_ins_leave_the_last_good_spec_in_force(tmp_path: Path) -> None:
    """By a process without privileges, since root may read everything."""
    script = (
        "import os, sys, yaml, jsonschema, hashlib, json, difflib, shlex\n"
        "import reconciler.loader.parse, reconciler.loader.patch\n"
        "from reconciler.loader import Loader\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); os.chdir('/')\n"
        "loader = Loader(None)\n"
        "for mode in (0o755, 0o000, 0o755):\n"
        "    os.chmod(sys.argv[1] + '/web.yaml.d', mode)\n"
        "    desired = loader.load([sys.argv[1]])\n"
        "    print(desired.specs['web'].config.env, sorted(desired.invalid),\n"
        "          *(p.message for p in desired.problems))\n"
    )
    base = Path("/tmp") / f"rc-{os.getpid()}"
    try:
        (base / "web.yaml.d").mkdir(parents=True)
        (base / "web.yaml").write_text("command: [a]")
        (base / "web.yaml.d" / "1.yaml").write_text("env: {A: b}")
        for path in (base, base / "web.yaml.d"):
            os.chown(path, 65534, 65534)
        output = subprocess.run(
            [sys.executable, "-c", script, str(base)], capture_output=True, text=True, check=True
        ).stdout
    finally:
        shutil.rmtree(base)
    assert output.splitlines() == [
        "{'A': 'b'} []",
        "{'A': 'b'} ['web'] cannot read the drop-ins: permission denied",
        "{'A': 'b'} []",
    ]


# --- ten thousand ----------------------------------------------------------------------------

COUNT = 10_000


@pytest.mark.slow
def test_ten_thousand_unchanged_files_with_drop_ins_are_loaded_without_parsing_them_again(
    tmp_path: Path,
) -> None:
    source = tmp_path / "specs"
    (source / "container.d").mkdir(parents=True)
    (source / "container.d" / "1.yaml").write_text("env: {C: c}\n")
    (source / "common.env").write_text("E=e\n")
    count = COUNT // 10 if os.environ.get("RECONCILER_TEST_SHORT") else COUNT
    for number in range(count):
        (source / f"c{number}.yaml").write_text("command: [a]\nenvFile: common.env\n")
        if number % 10 == 0:
            (source / f"c{number}.yaml.d").mkdir()
            (source / f"c{number}.yaml.d" / "1.yaml").write_text("env: {D: d}\n")
    script = (
        "import sys\n"
        "from reconciler.linux import clock\n"
        "from reconciler.loader.load import Loader\n"
        "loader = Loader(sys.argv[1], lambda: clock.wall_s() + 60)\n"
        "desired = loader.load([sys.argv[2]])\n"
        "env = desired.specs['c0'].config.env\n"
        "print(len(desired.specs), len(desired.problems), sorted(env), 'yaml' in sys.modules,"
        " 'jsonschema' in sys.modules)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "state"), str(source)]
    first, second = (
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        for _ in range(2)
    )
    assert first == f"{count} 0 ['C', 'D', 'E'] True False"
    assert second == f"{count} 0 ['C', 'D', 'E'] False False"
