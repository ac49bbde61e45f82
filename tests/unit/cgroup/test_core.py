"""The monitor's part of the cgroup layer: lean, and right on files as kernels show them."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cgroup import core, tree


def test_the_monitors_part_imports_the_standard_library_alone() -> None:
    code = (
        "import sys, reconciler.cgroup.core, reconciler.cgroup.tree;"
        "print(sorted(name for name in sys.modules if name.startswith('reconciler')))"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert printed.strip() == str(
        [
            "reconciler",
            "reconciler.cgroup",
            "reconciler.cgroup.core",
            "reconciler.cgroup.files",
            "reconciler.cgroup.tree",
            "reconciler.lean",
        ]
    )


def test_co_mounted_controllers_are_touched_once() -> None:
    paths = {"cpu": "/cg/cpu,cpuacct/a", "cpuacct": "/cg/cpu,cpuacct/a", "memory": "/cg/memory/a"}
    assert core.directories(paths) == ["/cg/cpu,cpuacct/a", "/cg/memory/a"]


@pytest.mark.parametrize(
    ("name", "text", "kills"),
    [
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", 3),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", 0),  # before kernel 4.13
    ],
)
def test_oom_kills_are_counted_on_v1(tmp_path: Path, name: str, text: str, kills: int) -> None:
    (tmp_path / name).write_text(text)
    assert core.oom_kills({"memory": str(tmp_path), "unified": "/none"}) == kills


def test_oom_kills_are_counted_on_v2(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("max 9\noom 2\noom_kill 1\noom_group_kill 0\n")
    assert core.oom_kills({"unified": str(tmp_path)}) == 1
    assert core.oom_kills({"unified": str(tmp_path / "gone")}) == 0
    assert core.oom_kills({"pids": str(tmp_path)}) == 0


@pytest.mark.parametrize(
    ("asked", "events", "state"),
    [("0", "0", "thawed"), ("1", "0", "freezing"), ("1", "1", "frozen"), ("0", "1", "frozen")],
)
def test_the_v2_freezer_has_three_states(
    tmp_path: Path, asked: str, events: str, state: str
) -> None:
    (tmp_path / "cgroup.freeze").write_text(f"{asked}\n")
    (tmp_path / "cgroup.events").write_text(f"populated 1\nfrozen {events}\n")
    assert core.freezer_state({"unified": str(tmp_path)}) == state


def test_a_host_without_a_freezer_says_so() -> None:
    assert core.freezer_state({"memory": "/none"}) == "thawed"
    with pytest.raises(OSError, match="no cgroup freezer") as caught:
        core.freeze({"memory": "/none"})
    assert caught.value.errno == errno.ENOTSUP


def test_processes_outside_our_pid_namespace_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("12\n0\n13\n")
    (tmp_path / "nested").mkdir()
    (tmp_path / "nested/cgroup.procs").write_text("14\n")
    assert core.processes({"unified": str(tmp_path)}) == [12, 13, 14]
    assert core.processes({}) == []


def test_making_a_cgroup_makes_its_ancestors_and_undoes_them(tmp_path: Path) -> None:
    made = tree.make(str(tmp_path / "a/b/c"))
    assert made == [str(tmp_path / name) for name in ("a", "a/b", "a/b/c")]
    assert tree.make(str(tmp_path / "a/b/c")) == []
    tree.unmake(made, OSError())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_make_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        tree.make(str(tmp_path / "a/b" / ("x" * 300) / "c"))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_undone_is_noted_on_the_first_error(tmp_path: Path) -> None:
    (tmp_path / "a/child").mkdir(parents=True)
    first = OSError("first")
    tree.unmake([str(tmp_path / "a")], first)
    assert "cannot remove the cgroup just made" in first.__notes__[0]
