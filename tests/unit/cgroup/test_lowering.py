"""Lowering a memory limit: what is refused, how reclaim goes, on files as a 6.1 kernel has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cgroup import canonical, lowering
from reconciler.cgroup.v2 import memory
from reconciler.errors import ErrorCode, ReconcilerError

MIB = 2**20
STAT = {
    "inactive_anon": 0,
    "active_anon": 0,
    "inactive_file": 0,
    "active_file": 0,
    "slab_reclaimable": 0,
    "swap_room": 0,
}


def is_reachable(limit_mib: int, usage_mib: int, **stat_mib: int) -> bool:
    stat = STAT | {name: value * MIB for name, value in stat_mib.items()}
    try:
        lowering.check_reachable(limit_mib * MIB, usage_mib * MIB, stat, 512 * MIB)
    except ReconcilerError:
        return False
    return True


def test_page_cache_and_slab_can_be_reclaimed_and_anonymous_memory_only_into_swap() -> None:
    assert is_reachable(200, 400, inactive_file=150, active_file=60)
    assert is_reachable(200, 400, inactive_file=150, slab_reclaimable=60)
    assert not is_reachable(200, 400, inactive_anon=400)
    assert is_reachable(200, 400, inactive_anon=300, active_anon=100, swap_room=250)
    assert not is_reachable(200, 400, inactive_anon=300, active_anon=100, swap_room=100)
    assert not is_reachable(200, 400, inactive_anon=10, swap_room=1000)


def test_what_would_leave_no_headroom_is_refused() -> None:
    slack_mib = 1024  # so much that the kernel's figures are never the matter
    assert not is_reachable(64 * slack_mib, 64 * slack_mib)
    assert is_reachable(64 * slack_mib, 63 * slack_mib)


def test_reclaim_goes_in_steps_down_to_the_target() -> None:
    usage, aims = [400 * MIB], []

    def reclaim_to(now: int, aim: int) -> None:
        assert now == usage[0]
        aims.append(aim)
        usage[0] = aim

    end = lowering.reclaim_towards(80 * MIB, lambda: usage[0], reclaim_to)
    assert end == aims[-1] == 80 * MIB
    assert len(aims) == 16
    assert aims == sorted(aims, reverse=True)


def test_reclaim_that_gains_nothing_ends_soon() -> None:
    aims: list[int] = []
    end = lowering.reclaim_towards(80 * MIB, lambda: 400 * MIB, lambda _, aim: aims.append(aim))
    assert end == 400 * MIB
    assert aims == [380 * MIB] * 3


def test_reclaim_that_gains_too_little_ends_after_a_bounded_number_of_steps() -> None:
    usage = [400 * MIB]

    def reclaim_to(now: int, aim: int) -> None:
        usage[0] -= 4096

    end = lowering.reclaim_towards(80 * MIB, lambda: usage[0], reclaim_to)
    assert end == 400 * MIB - lowering.STEPS_MAX * 4096


@pytest.fixture
def path(tmp_path: Path) -> str:
    files = {
        "memory.max": "max\n",
        "memory.high": "max\n",
        "memory.swap.max": "max\n",
        "memory.swap.current": "0\n",
        "memory.current": f"{400 * MIB}\n",
        "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
        "memory.reclaim": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return str(tmp_path)


def write_stat(path: str, **stat_mib: int) -> None:
    stat = STAT | {name: value * MIB for name, value in stat_mib.items()}
    Path(path, "memory.stat").write_text("".join(f"{key} {n}\n" for key, n in stat.items()))


def wanted(limit_mib: int) -> dict[str, int | None]:
    return {
        canonical.MEMORY_MAX: limit_mib * MIB,
        canonical.MEMORY_HIGH: None,
        canonical.MEMORY_SWAP: None,
    }


def test_on_v2_nothing_is_reclaimed_for_a_limit_out_of_reach(path: str) -> None:
    write_stat(path, inactive_file=100)
    with pytest.raises(ReconcilerError, match=r"400Mi is in use and at most 100Mi") as caught:
        memory.write_limits(path, wanted(100))
    assert caught.value.code is ErrorCode.LimitNotApplied
    assert caught.value.field == canonical.MEMORY_MAX
    assert Path(path, "memory.reclaim").read_text() == ""
    assert Path(path, "memory.max").read_text() == "max\n"


def test_on_v2_the_limit_is_not_written_while_usage_is_above_it(path: str) -> None:
    write_stat(path, inactive_file=350)
    with pytest.raises(ReconcilerError, match="reclaim got no further"):
        memory.write_limits(path, wanted(100))
    step = (400 * MIB - lowering.target_of(100 * MIB)) // 16
    assert Path(path, "memory.reclaim").read_text() == str(step)
    assert Path(path, "memory.max").read_text() == "max\n"


def test_on_v2_kernels_before_5_19_reclaim_through_memory_high(path: str) -> None:
    Path(path, "memory.reclaim").unlink()
    write_stat(path, inactive_file=350)
    with pytest.raises(ReconcilerError, match="reclaim got no further"):
        memory.write_limits(path, wanted(100))
    step = (400 * MIB - lowering.target_of(100 * MIB)) // 16
    assert Path(path, "memory.high").read_text() == str(400 * MIB - step)
    assert Path(path, "memory.max").read_text() == "max\n"


def test_on_v2_a_limit_far_above_usage_is_just_written(path: str) -> None:
    memory.write_limits(path, wanted(4096))
    assert Path(path, "memory.max").read_text() == str(4096 * MIB)
    assert Path(path, "memory.reclaim").read_text() == ""
