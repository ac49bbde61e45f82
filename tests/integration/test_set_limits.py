"""Other limits for a running container: all of them or none, and nothing is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler import Engine, Status
from reconciler.cgroup.canonical import MEMORY_MAX, PIDS_MAX
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.config import MemoryLimits, PidsLimits, Resources
from tests.conftest import RunDirs
from tests.contract.cgroup_cell import eventually
from tests.integration.conftest import output, shell

pytestmark = pytest.mark.requires_root

MIB = 2**20
HOLD = "exec /usr/bin/python3 -uc 'x = bytearray(80 << 20); print(1); import time; time.sleep(600)'"


def limits(memory_mib: int, pids: int) -> Resources:
    memory = MemoryLimits(max_bytes=memory_mib * MIB)
    return Resources(memory=memory, pids=PidsLimits(max=pids))


def fill(path: Path) -> None:
    """Write until there is no room left. Raises: OSError."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def test_a_memory_limit_out_of_reach_changes_nothing_at_all(engine: Engine) -> None:
    container = engine.create("hog", shell(HOLD, resources=limits(200, 50)))
    container.start()
    assert eventually(lambda: output(engine, "hog") == ["1"])
    for _ in range(2):
        with pytest.raises(ReconcilerError, match=r"^cannot update hog: cannot lower") as caught:
            container.set(limits(40, 20))
        assert caught.value.code is ErrorCode.LimitNotApplied
        assert caught.value.container == "hog"
        assert container.config.resources == limits(200, 50)
        shown = container.limits()
        assert (shown[MEMORY_MAX], shown[PIDS_MAX]) == (200 * MIB, 50)
    assert container.status() is Status.RUNNING
    container.set(limits(150, 20))
    shown = container.limits()
    assert (shown[MEMORY_MAX], shown[PIDS_MAX]) == (150 * MIB, 20)


def test_a_record_that_cannot_be_written_leaves_the_former_limits_in_force(
    tiny_disk: Path, run_dirs: RunDirs
) -> None:
    engine = Engine(run_dir=str(tiny_disk / "run"), state_dir=str(run_dirs.state_dir))
    container = engine.create("web", shell("sleep 600", resources=limits(200, 50)))
    try:
        container.start()
        with pytest.raises(OSError, match="No space"):
            fill(tiny_disk / "filler")
        with pytest.raises(ReconcilerError) as caught:
            container.set(limits(100, 20))
        assert caught.value.code is ErrorCode.NoSpace
        shown = container.limits()
        assert (shown[MEMORY_MAX], shown[PIDS_MAX]) == (200 * MIB, 50)
        (tiny_disk / "filler").unlink()
        assert container.refresh().config.resources == limits(200, 50)
    finally:
        (tiny_disk / "filler").unlink(missing_ok=True)
        container.destroy()
        engine.retire()
        assert eventually(lambda: not engine.monitor.is_running())
