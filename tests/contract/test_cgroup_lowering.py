"""What every cgroup driver does when a limit goes down under running processes: kill nothing."""

from __future__ import annotations

import pytest

from reconciler.cgroup import canonical, files
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.config import CpuLimits, MemoryLimits, PidsLimits, Resources
from tests.contract.cgroup_cell import MIB, Cell, Child

pytestmark = pytest.mark.requires_root

HOLD = "import mmap; held = mmap.mmap(-1, {size}, mmap.MAP_PRIVATE)\n"
TOUCH = "for at in range(0, {size}, 4096): held[at] = 1\n"
LAZILY_FREE = "held.madvise(mmap.MADV_FREE)\n"  # the kernel can take it back, without swap
MEMORY_FILES = ("memory.max", "memory.high", "memory.swap.max")


def limit_of(size_mib: int, high_mib: int | None = None) -> Resources:
    high = None if high_mib is None else high_mib * MIB
    return Resources(memory=MemoryLimits(max_bytes=size_mib * MIB, high_bytes=high))


def hold(child: Child, size_mib: int, after: str = "") -> None:
    child.run((HOLD + TOUCH + after).format(size=size_mib * MIB))


def is_alive(child: Child) -> bool:
    return child.process.poll() is None and child.run("print('alive')") == "alive"


def refused(cell: Cell, wanted: Resources, before: Resources) -> ReconcilerError:
    """Apply what must be refused; what was there before must be there after it."""
    shown = cell.driver.read_limits(cell.paths)
    with pytest.raises(ReconcilerError) as caught:
        cell.driver.apply(cell.paths, wanted, before)
    assert caught.value.code is ErrorCode.LimitNotApplied
    assert cell.driver.read_limits(cell.paths) == shown
    return caught.value


def test_memory_that_can_be_reclaimed_makes_room_for_a_lower_limit(cell: Cell) -> None:
    cell.apply(limit_of(128))
    child = cell.spawn()
    hold(child, 64, LAZILY_FREE)
    assert cell.driver.read_stats(cell.paths).memory.usage_bytes > 64 * MIB
    cell.apply(limit_of(32), previous=limit_of(128))
    assert cell.driver.read_stats(cell.paths).memory.usage_bytes <= 32 * MIB
    assert is_alive(child)
    assert cell.driver.oom_kills(cell.paths) == 0


def test_kernels_before_5_19_reclaim_by_steps_of_memory_high(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    if canonical.MEMORY_HIGH not in cell.driver.facts().fields:
        pytest.skip("v1 reclaims when its limit is written: there is but one way")
    cell.apply(limit_of(128))
    child = cell.spawn()
    hold(child, 64, LAZILY_FREE)
    exists = files.exists
    monkeypatch.setattr(
        files, "exists", lambda path: not path.endswith("/memory.reclaim") and exists(path)
    )
    cell.apply(limit_of(32), previous=limit_of(128))
    assert is_alive(child)


def test_a_limit_below_what_cannot_be_reclaimed_is_refused_and_kills_nothing(cell: Cell) -> None:
    before = limit_of(128)
    cell.apply(before)
    child = cell.spawn()
    hold(child, 64)
    for _ in range(2):
        error = refused(cell, limit_of(32), before)
        assert "cannot lower resources.memory.max to 32Mi: " in str(error)
        assert "in use" in str(error)
        assert "it stays 128Mi" in str(error)
        assert error.field == canonical.MEMORY_MAX
    assert is_alive(child)
    assert cell.driver.oom_kills(cell.paths) == 0
    cell.apply(limit_of(160), previous=before)
    child.run("held.close()")
    cell.apply(limit_of(32), previous=limit_of(160))
    assert is_alive(child)


def test_a_refusal_after_reclaim_puts_every_memory_file_back(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    if canonical.MEMORY_HIGH not in cell.driver.facts().fields:
        pytest.skip("v1 takes a lower limit as a whole or not at all")
    from reconciler.cgroup import lowering

    cell.apply(limit_of(128, high_mib=120))
    child = cell.spawn()
    hold(child, 64)
    names = [f"{cell.paths['unified']}/{name}" for name in MEMORY_FILES]
    former = [files.read_optional(name) for name in names]
    # The figures may be wrong, as when pages are locked: reclaim itself then finds out.
    monkeypatch.setattr(lowering, "check_reachable", lambda *_: None)
    error = refused(cell, limit_of(32, high_mib=30), limit_of(128, high_mib=120))
    assert "reclaim got no further" in str(error)
    assert [files.read_optional(name) for name in names] == former
    assert is_alive(child)
    assert cell.driver.oom_kills(cell.paths) == 0


def test_locked_memory_is_refused_though_swap_could_take_it(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.cgroup import lowering

    monkeypatch.setattr(lowering, "check_reachable", lambda *_: None)
    cell.apply(limit_of(128))
    child = cell.spawn()
    child.run("import ctypes; ctypes.CDLL(None).mlockall(3)")
    hold(child, 64)
    refused(cell, limit_of(32), limit_of(128))
    assert is_alive(child)


def test_no_limit_becomes_one_only_above_what_is_in_use(cell: Cell) -> None:
    child = cell.spawn()
    hold(child, 64)
    error = refused(cell, limit_of(32), Resources())
    assert "it stays unlimited" in str(error)
    cell.apply(limit_of(128), previous=Resources())
    assert is_alive(child)


def test_memory_and_swap_go_down_together_or_not_at_all(cell: Cell) -> None:
    if canonical.MEMORY_SWAP not in cell.driver.facts().fields:
        pytest.skip("this kernel does not account swap")
    before = Resources(memory=MemoryLimits(max_bytes=128 * MIB, swap_bytes=64 * MIB))
    cell.apply(before)
    child = cell.spawn()
    hold(child, 64)
    lower = Resources(memory=MemoryLimits(max_bytes=32 * MIB, swap_bytes=0))
    refused(cell, lower, before)
    fitting = Resources(memory=MemoryLimits(max_bytes=100 * MIB, swap_bytes=0))
    cell.apply(fitting, previous=before)
    assert is_alive(child)


@pytest.mark.parametrize("milli", [250, 1500])
def test_limits_written_before_the_one_that_fails_are_put_back(cell: Cell, milli: int) -> None:
    before = Resources(
        memory=MemoryLimits(max_bytes=128 * MIB),
        cpu=CpuLimits(max_milli=500, weight=50),
        pids=PidsLimits(max=30),
    )
    cell.apply(before)
    wanted = Resources(
        memory=MemoryLimits(max_bytes=64 * MIB),
        cpu=CpuLimits(max_milli=milli, weight=200),
        pids=PidsLimits(max=2**22 + 1),  # more than the kernel takes
    )
    with pytest.raises(OSError, match=r"pids\.max"):
        cell.driver.apply(cell.paths, wanted, before)
    assert cell.driver.read_limits(cell.paths) == cell.driver.canonical_limits(before)


def test_a_quota_that_no_spec_can_say_is_put_back_too(cell: Cell) -> None:
    if "cpu" in cell.paths:
        files.write_text(f"{cell.paths['cpu']}/cpu.cfs_period_us", "30000")
        files.write_text(f"{cell.paths['cpu']}/cpu.cfs_quota_us", "10000")
    else:
        files.write_text(f"{cell.paths['unified']}/cpu.max", "10000 30000")
    strange = cell.driver.read_limits(cell.paths)[canonical.CPU_MAX]
    assert strange == 333.333
    wanted = Resources(cpu=CpuLimits(max_milli=250), pids=PidsLimits(max=2**22 + 1))
    with pytest.raises(OSError, match=r"pids\.max"):
        cell.driver.apply(cell.paths, wanted, Resources())
    assert cell.driver.read_limits(cell.paths)[canonical.CPU_MAX] == pytest.approx(
        strange, abs=0.01
    )


def test_a_lower_task_limit_stops_forks_and_kills_nothing(cell: Cell) -> None:
    cell.apply(Resources(pids=PidsLimits(max=30)))
    children = [cell.spawn() for _ in range(3)]
    cell.apply(Resources(pids=PidsLimits(max=1)), previous=Resources(pids=PidsLimits(max=30)))
    assert all(is_alive(child) for child in children)
    told = children[0].run("try: os.fork()\nexcept OSError: print('refused')")
    assert told == "refused"


def test_a_process_that_goes_on_allocating_survives_a_lower_limit(cell: Cell) -> None:
    """It takes and lazily frees without end, so that usage never stands still."""
    cell.apply(limit_of(256))
    child = cell.spawn()
    churn = (
        "import mmap, threading\n"
        "held = mmap.mmap(-1, 64 << 20, mmap.MAP_PRIVATE)\n"
        "ended = False\n"
        "def churn():\n"
        "  while not ended:\n"
        "    for at in range(0, 64 << 20, 1 << 20):\n"
        "      for page in range(at, at + (1 << 20), 4096): held[page] = 1\n"
        "      held.madvise(mmap.MADV_FREE, at, 1 << 20)\n"
        "thread = threading.Thread(target=churn, daemon=True)\n"
        "thread.start()\n"
    )
    child.run(churn)
    cell.apply(limit_of(48), previous=limit_of(256))
    assert is_alive(child)
    child.run("ended = True; thread.join()")
    assert cell.driver.oom_kills(cell.paths) == 0
