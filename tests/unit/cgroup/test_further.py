"""Controllers that few hosts have, on trees of files as kernels show them; and conversions."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cgroup import canonical, convert, device_control, rdma
from reconciler.cgroup.canonical import LimitFacts, all_limits, asked_fields
from reconciler.cgroup.hugetlb import Hugetlb
from reconciler.cgroup.unified_fields import fold_unified
from reconciler.cgroup.v1 import net_cls, net_prio
from reconciler.cgroup.v2 import unified
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.config import (
    CpuLimits,
    HugetlbLimit,
    IoDeviceLimits,
    IoDeviceWeight,
    IoLimits,
    MemoryLimits,
    NetClass,
    RdmaLimit,
    Resources,
)
from reconciler.model.isolation import DeviceRule
from reconciler.model.stats import HugetlbStats, RdmaStats, Stats

MIB = 2**20
FACTS = LimitFacts(fields=frozenset())


def write(path: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (path / name).write_text(text)
    return str(path)


def limits_of(resources: Resources) -> dict[str, object]:
    return {name: value for name, value in all_limits(resources, FACTS).items() if value}


def test_huge_pages_of_v2_are_limited_by_size_in_use_and_reserved(tmp_path: Path) -> None:
    files = {
        "hugetlb.2MB.max": "max",
        "hugetlb.2MB.rsvd.max": "max",
        "hugetlb.2MB.current": "4194304",
        "hugetlb.2MB.events": "max 3\n",
        "hugetlb.1GB.max": "1073741824\n",
        "hugetlb.1GB.current": "0\n",
        "hugetlb.1GB.events": "max 0\n",
    }
    path, controller = write(tmp_path, files), Hugetlb(is_v1=False)
    resources = Resources(hugetlb=(HugetlbLimit(page_size_bytes=2 * MIB, max_bytes=9 * MIB),))
    controller.write_limits(path, all_limits(resources, FACTS))
    assert (tmp_path / "hugetlb.2MB.max").read_text() == str(8 * MIB)
    assert (tmp_path / "hugetlb.2MB.rsvd.max").read_text() == str(8 * MIB)
    assert (tmp_path / "hugetlb.1GB.max").read_text().startswith("max")
    (tmp_path / "hugetlb.1GB.max").write_text("max\n")
    shown = controller.read_limits(path, asked_fields(resources))
    assert shown == {canonical.HUGETLB: ((2 * MIB, 8 * MIB),)}
    assert controller.read_limits(path) == {}
    assert controller.read_stats(path, Stats(at=1.0)).hugetlb == (
        HugetlbStats(page_size_bytes=2 * MIB, usage_bytes=4 * MIB, limit_hits=3),
        HugetlbStats(page_size_bytes=2**30),
    )


def test_huge_pages_of_v1_show_their_unlimited_as_a_number(tmp_path: Path) -> None:
    files = {
        "hugetlb.2MB.limit_in_bytes": "9223372036852678656\n",
        "hugetlb.64KB.limit_in_bytes": "65536\n",
    }
    path = write(tmp_path, files)
    shown = Hugetlb(is_v1=True).read_limits(path, (canonical.HUGETLB,))
    assert shown == {canonical.HUGETLB: ((65536, 65536),)}


def test_rdma_is_limited_by_device(tmp_path: Path) -> None:
    files = {
        "rdma.max": "mlx4_0 hca_handle=max hca_object=max\nocrdma1 hca_handle=5 hca_object=max\n",
        "rdma.current": "mlx4_0 hca_handle=1 hca_object=20\n",
    }
    path = write(tmp_path, files)
    asked = (canonical.RDMA,)
    assert rdma.read_limits(path, asked) == {canonical.RDMA: (("ocrdma1", 5, None),)}
    assert rdma.read_stats(path, Stats(at=1.0)).rdma == (
        RdmaStats(device="mlx4_0", hca_handles=1, hca_objects=20),
    )
    resources = Resources(rdma=(RdmaLimit(device="ocrdma1", hca_objects=7),))
    (tmp_path / "rdma.max").write_text("")
    rdma.write_limits(path, all_limits(resources, FACTS))
    assert (tmp_path / "rdma.max").read_text() == "ocrdma1 hca_handle=max hca_object=7"
    (found,) = rdma.unsupported(path, all_limits(resources, FACTS))
    assert found.reason == "there is no RDMA device ocrdma1"


def test_packets_get_a_class_and_priorities(tmp_path: Path) -> None:
    path = write(tmp_path, {"net_cls.classid": "0\n", "net_prio.ifpriomap": "lo 0\neth0 0\n"})
    resources = Resources(net=NetClass(class_id=0x100001, priorities=(("eth0", 5),)))
    wanted = all_limits(resources, FACTS)
    asked = asked_fields(resources)
    assert net_prio.unsupported(path, wanted) == []
    net_cls.write_limits(path, wanted)
    net_prio.write_limits(path, wanted)
    assert net_cls.read_limits(path, asked) == {canonical.NET_CLASS_ID: 0x100001}
    assert (tmp_path / "net_prio.ifpriomap").read_text().startswith("eth0 5")
    (tmp_path / "net_prio.ifpriomap").write_text("lo 0\neth0 5\n")
    assert net_prio.read_limits(path, asked) == {canonical.NET_PRIORITIES: (("eth0", 5),)}


@pytest.mark.parametrize(
    ("name", "written", "shown"),
    [
        ("memory.swap.high", "64M", "67108864\n"),
        ("memory.swap.high", "5000", "4096\n"),
        ("io.latency", "8:0 target=75000", "8:0 target=75000\n"),
        ("misc.max", "sev 3", "sev 3\nsev_es max\n"),
        ("rdma.max", "a hca_handle=2 hca_object=max", "a hca_handle=2 hca_object=max\nb x=max\n"),
        ("cpu.uclamp.min", "12.5", "12.50\n"),
        ("io.bfq.weight", "200", "default 200\n"),
    ],
)
def test_content_of_a_file_is_compared_in_one_spelling(name: str, written: str, shown: str) -> None:
    assert convert.plain_content(name, written) == convert.plain_content(name, shown) != ""


def test_a_file_that_was_not_set_is_not_shown(tmp_path: Path) -> None:
    path = write(tmp_path, {"memory.swap.high": "max\n", "memory.zswap.max": "1048576\n"})
    resources = Resources(unified=(("memory.swap.high", "1M"), ("memory.zswap.max", "1M")))
    shown = unified.read_limits(path, asked_fields(resources))
    assert shown == {canonical.UNIFIED_FILES: (("memory.zswap.max", "1048576"),)}


def test_a_file_whose_unset_state_nobody_knows_is_not_lifted_live(tmp_path: Path) -> None:
    path = write(tmp_path, {"io.prio.class": "idle\n"})
    shown = {canonical.UNIFIED_FILES: (("io.prio.class", "idle"),)}
    with pytest.raises(ReconcilerError) as caught:
        unified.write_limits(path, {canonical.UNIFIED_FILES: ()}, shown)
    assert caught.value.code is ErrorCode.LimitNotApplied
    assert "restart" in str(caught.value)


def test_a_file_that_this_kernel_has_not_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ReconcilerError) as caught:
        unified.write_limits(str(tmp_path), {canonical.UNIFIED_FILES: (("misc.max", "a 1"),)})
    assert caught.value.code is ErrorCode.LimitNotSupported
    assert "no misc.max" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("memory.max", "64M", Resources(memory=MemoryLimits(max_bytes=64 * MIB))),
        ("memory.oom.group", "1", Resources(memory=MemoryLimits(oom_group=True))),
        ("cpu.max", "max", Resources()),
        ("cpu.max", "5000 10000", Resources(cpu=CpuLimits(quota_us=5000, period_us=10_000))),
        ("cpu.max.burst", "70", Resources(cpu=CpuLimits(burst_ns=70_000))),
        (
            "io.max",
            "8:0 rbps=7 wiops=max\n",
            Resources(io=IoLimits(max=(IoDeviceLimits(device="8:0", read_bytes=7),))),
        ),
        (
            "io.weight",
            "default 50\n8:0 70\n",
            Resources(io=IoLimits(weight=50, weights=(IoDeviceWeight(device="8:0", weight=70),))),
        ),
        (
            "hugetlb.2MB.max",
            "4M",
            Resources(hugetlb=(HugetlbLimit(page_size_bytes=2 * MIB, max_bytes=4 * MIB),)),
        ),
        ("memory.swap.high", "1M", Resources(unified=(("memory.swap.high", "1M"),))),
    ],
)
def test_a_file_with_a_field_becomes_that_field(name: str, text: str, expected: Resources) -> None:
    assert fold_unified(Resources(unified=((name, text),))) == expected


@pytest.mark.parametrize(("blkio", "weight"), [(10, 1), (500, 4950), (1000, 10_000)])
def test_a_weight_of_blkio_is_mapped_as_oci_has_it_or_is_bfqs_own(blkio: int, weight: int) -> None:
    resources = Resources(io=IoLimits(blkio_weight=blkio))
    assert all_limits(resources, FACTS)[canonical.IO_WEIGHT] == weight
    bfq = LimitFacts(fields=frozenset(), is_bfq=True)
    shown = all_limits(resources, bfq)[canonical.IO_WEIGHT]
    assert isinstance(shown, int)
    assert convert.bfq_weight_of(shown) == blkio


def test_rules_of_v1_are_exceptions_to_one_answer_for_all() -> None:
    c = DeviceRule(allow=True, type="c", major=1, minor=11)
    allowed, exceptions = device_control.replay((DeviceRule(allow=True), c))
    assert (allowed, exceptions) == (True, {})
    rules = (c, DeviceRule(allow=False, type="c", major=1, access="w"))
    allowed, exceptions = device_control.replay(rules)
    assert (allowed, exceptions) == (False, {("c", 1, 11): frozenset("rm")})
    allowed, exceptions = device_control.replay((DeviceRule(allow=True, type="a", major=7),))
    assert exceptions.keys() == {("b", 7, None), ("c", 7, None)}
