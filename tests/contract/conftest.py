"""Fixtures of the contracts: each cgroup driver that this host can have, and cgroups of a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cgroup import canonical, files
from reconciler.cgroup.detect import Mode
from reconciler.cgroup.driver import CgroupDriver
from tests.contract.cgroup_cell import Cell, driver_of
from tests.contract.elsewhere import ELSEWHERE


@pytest.fixture(params=list(Mode), ids=str)
def driver(request: pytest.FixtureRequest) -> CgroupDriver:
    return driver_of(request.param)


@pytest.fixture(scope="session", autouse=True)
def elsewhere() -> Iterator[None]:
    """End the process that destroys, if one was started."""
    yield
    ELSEWHERE.close()


@pytest.fixture
def cell(driver: CgroupDriver) -> Iterator[Cell]:
    base_name = f"reconciler-test-{os.getpid()}"
    paths = driver.paths(base_name, "web")
    driver.create(paths)
    cell = Cell(driver, paths)
    yield cell
    cell.close()
    driver.remove_base(base_name)
    assert not any(os.path.exists(os.path.dirname(path)) for path in paths.values())


@pytest.fixture
def disk(cell: Cell) -> str:
    """Return a whole block device that can be throttled."""
    names = [name for name in os.listdir("/sys/block") if Path(f"/dev/{name}").is_block_device()]
    real = [name for name in names if int(files.read_text(f"/sys/block/{name}/size")) > 0]
    if not real:
        pytest.skip("this host has no block device")
    if canonical.IO_MAX not in cell.driver.facts().fields:
        pytest.skip("this host has no io controller")
    return f"/dev/{sorted(real, key=lambda name: name.startswith(('loop', 'ram')))[0]}"
