"""Below which cgroup containers go, on trees as v2 hosts show them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.cgroup.detect import Hierarchies, Hierarchy, Mode, detect
from reconciler.cgroup.placement import base_paths, enable_controllers, offered_controllers
from reconciler.errors import ErrorCode, ReconcilerError

ALL = "cpuset cpu io memory pids"
MOUNTS = "29 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n"


def make_cgroup(path: Path, controllers: str, enabled: str, procs: str = "") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in (("controllers", controllers), ("subtree_control", enabled)):
        (path / f"cgroup.{name}").write_text(text + "\n")
    (path / "cgroup.procs").write_text(procs)
    return path


def found_in(root: Path, own: str) -> Hierarchies:
    return detect(MOUNTS, f"0::{own}\n", str(root.parent))


def unified_base(root: Path, own: str, parent: str | None = None) -> str:
    return base_paths(found_in(root, own), parent)["unified"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cg"


def test_our_own_cgroup_is_taken_when_it_holds_no_process(root: Path) -> None:
    make_cgroup(root, ALL, ALL)
    own = make_cgroup(root / "own", ALL, "")
    assert unified_base(root, "/own") == str(own)


def test_the_parent_is_taken_when_our_own_holds_us(root: Path) -> None:
    make_cgroup(root, ALL, ALL)
    delegated = make_cgroup(root / "delegated", ALL, ALL)
    make_cgroup(delegated / "leaf", ALL, "", procs="4711\n")
    assert unified_base(root, "/delegated/leaf") == str(delegated)


def test_the_root_may_hold_processes(root: Path) -> None:
    make_cgroup(root, ALL, "", procs="1\n2\n")
    assert unified_base(root, "/") == str(root)


def test_an_ancestor_that_offers_less_is_passed_over(root: Path) -> None:
    make_cgroup(root, ALL, "memory pids", procs="1\n")
    slice_ = make_cgroup(root / "user.slice", "memory pids", "memory pids")
    make_cgroup(slice_ / "session.scope", "memory pids", "", procs="4711\n")
    assert unified_base(root, "/user.slice/session.scope") == str(root)


def test_the_nearest_that_offers_most_is_taken_when_none_offers_all(root: Path) -> None:
    make_cgroup(root, ALL, "memory", procs="")
    top = make_cgroup(root / "a", "memory pids", "memory pids", procs="1\n")
    middle = make_cgroup(top / "b", "memory pids", "memory pids")
    make_cgroup(middle / "c", "", "", procs="4711\n")
    unified = Hierarchy(
        controllers=("memory", "pids", "cpu"), mount_point=str(top), own=str(middle / "c")
    )
    found = base_paths(Hierarchies(mode=Mode.V2, unified=unified), None)
    assert found == {"unified": str(middle)}


def test_a_hybrid_hosts_unified_cgroup_needs_no_controllers(root: Path) -> None:
    make_cgroup(root, "hugetlb", "", procs="1\n")
    own = make_cgroup(root / "own", "", "", procs="4711\n")
    assert unified_base(root, "/own") == str(own)


def test_a_named_parent_wins_even_before_it_exists(root: Path) -> None:
    make_cgroup(root, ALL, "")
    assert unified_base(root, "/", "//machines/./mine/") == str(root / "machines/mine")
    assert not (root / "machines").exists()


@pytest.mark.parametrize("parent", ["machines", "/a/../b", "", "/a\0"])
def test_a_parent_that_is_no_cgroup_path_is_refused(root: Path, parent: str) -> None:
    make_cgroup(root, ALL, "")
    with pytest.raises(ReconcilerError, match="is not a cgroup path such as /foo") as caught:
        unified_base(root, "/", parent)
    assert caught.value.code is ErrorCode.CgroupUnavailable


def test_no_hierarchy_at_all_is_an_error() -> None:
    with pytest.raises(ReconcilerError, match="no cgroup hierarchy is mounted") as caught:
        base_paths(Hierarchies(mode=Mode.V1), None)
    assert caught.value.code is ErrorCode.CgroupUnavailable


def test_an_own_cgroup_out_of_sight_is_an_error(root: Path) -> None:
    hierarchy = Hierarchy(controllers=("memory",), mount_point=str(root), own=None)
    with pytest.raises(ReconcilerError, match="not to be seen"):
        base_paths(Hierarchies(mode=Mode.V1, v1={"memory": hierarchy}), None)


@pytest.mark.requires_root
def test_a_cgroup_that_is_not_ours_is_an_error(root: Path) -> None:
    make_cgroup(root, ALL, ALL).chmod(0o755)
    hierarchies = found_in(root, "/")
    v1_alone = Hierarchy(controllers=("pids",), mount_point="/sys", own="/sys")
    os.setresuid(65534, 65534, 0)
    try:
        with pytest.raises(ReconcilerError, match="/sys is not writable"):
            base_paths(Hierarchies(mode=Mode.V1, v1={"pids": v1_alone}), None)
        with pytest.raises(ReconcilerError, match="nor an ancestor is writable"):
            base_paths(hierarchies, None)
    finally:
        os.setresuid(0, 0, 0)


def test_controllers_are_enabled_from_the_top_down(root: Path) -> None:
    make_cgroup(root, ALL, "memory")
    middle = make_cgroup(root / "middle", "memory", "")
    enable_controllers(str(middle), str(root), frozenset(ALL.split()))
    # A sample tree hands nothing down: what was written is what can be seen.
    assert (root / "cgroup.subtree_control").read_text().startswith("+cpu +cpuset +io +pids")
    assert (middle / "cgroup.subtree_control").read_text().startswith("+cpu +cpuset +io +memory")


def test_controllers_that_are_enabled_are_left_alone(root: Path) -> None:
    make_cgroup(root, ALL, ALL + " hugetlb")
    enable_controllers(str(root), str(root), frozenset(ALL.split()))
    assert (root / "cgroup.subtree_control").read_text() == ALL + " hugetlb\n"


def test_what_was_not_delegated_is_not_offered_and_nothing_above_is_touched(root: Path) -> None:
    make_cgroup(root, ALL, ALL)
    delegated = make_cgroup(root / "user", "memory pids", "")
    unified = found_in(root, "/user").unified
    assert unified is not None
    offered = offered_controllers(unified, str(delegated), None)
    assert offered == {"memory", "pids"}
    enable_controllers(str(delegated), str(root), offered)
    assert (delegated / "cgroup.subtree_control").read_text().startswith("+memory +pids")
    assert (root / "cgroup.subtree_control").read_text() == ALL + "\n"


def test_below_a_named_parent_all_can_be_enabled_from_the_top(root: Path) -> None:
    make_cgroup(root, ALL, "")
    unified = found_in(root, "/").unified
    assert unified is not None
    assert offered_controllers(unified, f"{root}/a/b", "/a/b") == set(ALL.split())
