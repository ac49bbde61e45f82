"""A reconciler in cgroups of different kinds: the no-internal-process rule, and delegation.

cgroup-v2.rst, "No Internal Process Constraint": a cgroup with processes hands no controllers
down, but for the root of all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")
START = """
import json, os, sys
sys.path.insert(0, {tree!r})
from reconciler import Config, Engine, MemoryLimits, Resources
engine = Engine(run_dir=sys.argv[1] + "/run", state_dir=sys.argv[1] + "/state")
limits = Resources(memory=MemoryLimits(max_bytes=64 << 20))
container = engine.create("web", Config(command=("/bin/sleep", "1000"), resources=limits))
container.start()
directory = container.record.cgroups["unified"]
found = {{
    "cgroup": directory,
    "max": open(directory + "/memory.max").read().strip(),
    "own": open("/proc/self/cgroup").read().strip().partition("::")[2],
}}
container.destroy()
engine.retire()
print(json.dumps(found))
"""
Start = Callable[..., dict[str, str]]
TREE = str(Path(__file__).parents[3])


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a cgroup of our own, below the root, and remove it with all that is below."""
    path = ROOT / "place"
    path.mkdir()
    yield path
    for below in sorted(path.rglob("*/"), reverse=True):
        below.rmdir()
    path.rmdir()


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return a function that starts and destroys a container from within a cgroup."""

    def run(place: Path, *before: str) -> dict[str, str]:
        enter = ("/bin/sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', str(place))
        program = (sys.executable, "-c", START.format(tree=TREE), str(tmp_path))
        done = subprocess.run(
            [*enter, *before, *program], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout)
        assert found["max"] == str(64 << 20)
        return found

    return run


def test_in_the_root_containers_are_made_there(start: Start) -> None:
    assert Path(start(ROOT)["cgroup"]).parent.parent == ROOT


def test_in_a_leaf_they_are_made_beside_it(start: Start, place: Path) -> None:
    (place / "leaf").mkdir()
    (place / "cgroup.subtree_control").write_text("+cpuset +cpu +io +memory +pids")
    found = start(place / "leaf")
    assert Path(found["cgroup"]).parent.parent == place
    assert found["own"] == "/place/leaf"


def test_below_one_that_hands_nothing_down_they_are_made_where_it_can_be(
    start: Start, place: Path
) -> None:
    (place / "a/b").mkdir(parents=True)
    assert (place / "a/cgroup.controllers").read_text().strip() == ""
    assert Path(start(place / "a/b")["cgroup"]).parent.parent == place


def test_in_a_scope_that_systemd_delegates_it_makes_room_and_stays_inside(
    start: Start, place: Path
) -> None:
    scope = place / "run-1.scope"
    scope.mkdir()
    (place / "cgroup.subtree_control").write_text("+cpuset +cpu +io +memory +pids")
    os.setxattr(scope, "trusted.delegate", b"1")
    found = start(scope)
    assert Path(found["cgroup"]).parent.parent == scope
    assert found["own"] == "/place/run-1.scope/reconciler-callers"


def test_in_a_cgroup_namespace_it_makes_room_and_is_a_reconciler_within_one(
    start: Start, place: Path
) -> None:
    """As in a container of a reconciler, whose own cgroup is the root that it sees."""
    (place / "box").mkdir()
    (place / "cgroup.subtree_control").write_text("+cpuset +cpu +io +memory +pids")
    mount = 'umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
    found = start(place / "box", "unshare", "--cgroup", "--mount", "/bin/sh", "-c", mount, "sh")
    assert Path(found["cgroup"]).parent.parent == ROOT
    assert found["own"] == "/reconciler-callers"
