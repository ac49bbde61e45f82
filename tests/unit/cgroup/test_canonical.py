"""The desired side of limits, in the form that the kernel's is compared in."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cgroup import canonical
from reconciler.cgroup.canonical import LimitFacts, canonical_limits
from reconciler.cgroup.devices import device_number, trouble_with
from reconciler.model.config import CpuLimits, IoDeviceLimits, IoLimits, MemoryLimits, Resources

EVERY_FIELD = frozenset(canonical.all_limits(Resources(), LimitFacts(fields=frozenset())))
FACTS = LimitFacts(fields=EVERY_FIELD)


def test_a_field_that_cannot_be_shown_is_absent() -> None:
    facts = LimitFacts(fields=frozenset({canonical.PIDS_MAX}))
    assert canonical_limits(Resources(), facts) == {canonical.PIDS_MAX: None}


def test_defaults_written_out_are_no_limits() -> None:
    written_out = Resources(
        memory=MemoryLimits(max_bytes=2**63 - 1),
        cpu=CpuLimits(weight=100),
        io=IoLimits(weight=100, max=(IoDeviceLimits(device="8:0"),)),
    )
    assert canonical_limits(written_out, FACTS) == canonical_limits(Resources(), FACTS)


def test_a_cpuset_equal_to_the_parents_is_no_limit_on_v1() -> None:
    facts = LimitFacts(fields=EVERY_FIELD, inherited_cpus="0-3", inherited_mems="0")
    limits = canonical_limits(Resources(cpu=CpuLimits(cpus="3,2,1,0", mems="0")), facts)
    assert (limits[canonical.CPU_CPUS], limits[canonical.CPU_MEMS]) == (None, None)
    limits = canonical_limits(Resources(cpu=CpuLimits(cpus="0,1,3")), facts)
    assert limits[canonical.CPU_CPUS] == "0-1,3"


def test_throttles_of_one_device_are_put_together_and_sorted() -> None:
    numbers = {"/dev/vdb": "254:16", "/dev/disk/by-id/b": "254:16", "/dev/vda": "254:0"}
    throttles = (
        IoDeviceLimits(device="/dev/vdb", read_bytes=1, read_ops=5),
        IoDeviceLimits(device="/dev/vda", write_bytes=2),
        IoDeviceLimits(device="/dev/disk/by-id/b", read_ops=3),
    )
    limits = canonical_limits(
        Resources(io=IoLimits(max=throttles)), FACTS, resolve_device=numbers.__getitem__
    )
    assert limits[canonical.IO_MAX] == (
        ("254:0", None, 2, None, None),
        ("254:16", 1, None, 3, None),
    )


def test_a_device_that_is_not_there_keeps_its_name() -> None:
    throttle = IoDeviceLimits(device="/dev/none", read_ops=1)
    limits = canonical_limits(Resources(io=IoLimits(max=(throttle,))), FACTS)
    assert limits[canonical.IO_MAX] == (("/dev/none", None, None, 1, None),)


def test_a_bfq_weight_is_told_as_bfq_keeps_it() -> None:
    resources = Resources(io=IoLimits(weight=500))
    assert canonical_limits(resources, FACTS)[canonical.IO_WEIGHT] == 500
    facts = LimitFacts(fields=EVERY_FIELD, is_bfq=True)
    assert canonical_limits(resources, facts)[canonical.IO_WEIGHT] == 496


def test_only_block_devices_have_a_number() -> None:
    assert device_number("254:0") == "254:0"
    with pytest.raises(ValueError, match="not a block device"):
        device_number("/dev/null")
    with pytest.raises(FileNotFoundError):
        device_number("/dev/none")


def test_partitions_and_missing_disks_cannot_be_throttled(tmp_path: Path) -> None:
    (tmp_path / "8:0").mkdir()
    (tmp_path / "8:1").mkdir()
    (tmp_path / "8:1/partition").write_text("1\n")
    assert trouble_with("8:0", str(tmp_path)) is None
    assert "is a partition" in (trouble_with("8:1", str(tmp_path)) or "")
    assert "no block device 8:2" in (trouble_with("8:2", str(tmp_path)) or "")
    assert "not a block device" in (trouble_with("/dev/null", str(tmp_path)) or "")
