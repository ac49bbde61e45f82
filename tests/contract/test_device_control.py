"""Control over devices on each cgroup driver, on the real kernel: v1's controller or BPF."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.cgroup import device_control
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux import bpf
from reconciler.model.isolation import DeviceRule
from tests.contract.cgroup_cell import Cell, Child

pytestmark = pytest.mark.requires_root

KMSG = DeviceRule(allow=True, type="c", major=1, minor=11, access="r")
TRY = """
try:
    os.close(os.open({path!r}, {flags}))
    print("opened")
except OSError as error:
    print(error.strerror)
"""


def opens(child: Child, path: Path | str, flags: int = os.O_RDONLY) -> bool:
    answer = child.run(TRY.format(path=str(path), flags=flags))
    assert answer in ("opened", "Operation not permitted")
    return answer == "opened"


@pytest.fixture
def controlled(cell: Cell) -> Cell:
    if cell.driver.device_control is None:
        pytest.skip("this host has no control over devices")
    return cell


@pytest.fixture
def kmsg(tmp_path: Path) -> Path:
    path = tmp_path / "kmsg"
    os.mknod(path, 0o20600, os.makedev(1, 11))
    return path


def test_by_default_harmless_devices_are_opened_and_others_are_not(
    controlled: Cell, kmsg: Path
) -> None:
    controlled.driver.control_devices(controlled.paths, None)
    child = controlled.spawn()
    for name in ("null", "zero", "full", "random", "urandom"):
        assert opens(child, f"/dev/{name}", os.O_RDWR)
    assert not opens(child, kmsg)


def test_any_node_is_made_and_not_opened(controlled: Cell, tmp_path: Path) -> None:
    controlled.driver.control_devices(controlled.paths, ())
    child = controlled.spawn()
    path = tmp_path / "disk"
    child.run(f"os.mknod({str(path)!r}, 0o60600, os.makedev(254, 0))")
    assert path.is_block_device()
    assert not opens(child, path)


def test_a_rule_allows_what_it_says_and_no_more(controlled: Cell, kmsg: Path) -> None:
    controlled.driver.control_devices(controlled.paths, (KMSG,))
    child = controlled.spawn()
    assert opens(child, kmsg)
    assert not opens(child, kmsg, os.O_WRONLY)
    assert not opens(child, kmsg, os.O_RDWR)


def test_no_rule_takes_the_default_devices_away(controlled: Cell) -> None:
    controlled.driver.control_devices(controlled.paths, (DeviceRule(allow=False),))
    assert opens(controlled.spawn(), "/dev/null", os.O_RDWR)


def test_all_may_be_allowed(controlled: Cell, kmsg: Path) -> None:
    controlled.driver.control_devices(controlled.paths, (DeviceRule(allow=True),))
    assert opens(controlled.spawn(), kmsg)


def test_other_rules_replace_those_in_force(controlled: Cell, kmsg: Path) -> None:
    controlled.driver.control_devices(controlled.paths, ())
    child = controlled.spawn()
    assert not opens(child, kmsg)
    controlled.driver.control_devices(controlled.paths, (KMSG,))
    assert opens(child, kmsg)
    controlled.driver.control_devices(controlled.paths, ())
    assert not opens(child, kmsg)


def test_own_rules_stand_in_place_of_the_default_above(controlled: Cell, kmsg: Path) -> None:
    controlled.driver.control_devices(controlled.paths, None)
    controlled.driver.control_devices(controlled.paths, (KMSG,))
    assert opens(controlled.spawn(), kmsg)


def test_the_default_is_one_program_for_all_containers(controlled: Cell) -> None:
    if controlled.driver.device_control != "bpf":
        pytest.skip("v1 has no programs")
    above = os.open(os.path.dirname(controlled.paths["unified"]), os.O_RDONLY)
    own = os.open(controlled.paths["unified"], os.O_RDONLY)
    try:
        controlled.driver.control_devices(controlled.paths, None)
        first = bpf.query_device_programs(above)
        controlled.driver.control_devices(controlled.paths, None)
        assert len(first) == 1
        assert bpf.query_device_programs(above) == first
        assert bpf.query_device_programs(own) == []
    finally:
        os.close(above)
        os.close(own)


def test_v1_refuses_an_exception_to_an_exception(tmp_path: Path) -> None:
    all_chars = DeviceRule(allow=True, type="c")
    with pytest.raises(ReconcilerError) as caught:
        device_control.replay((all_chars, DeviceRule(allow=False, type="c", major=1, minor=11)))
    assert caught.value.code is ErrorCode.LimitNotSupported
