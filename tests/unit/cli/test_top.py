"""Rates between two samples, and how usage and pressure are spelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.usage import read_pressure, spell_pressure
from reconciler.cli.verbs.top import Sample
from reconciler.model.stats import CpuStats, IoStats, MemoryStats, PidsStats, Stats


def sample(at: float, **cpu_s: float) -> Sample:
    stats = {
        name: Stats(
            at=at,
            cpu=CpuStats(usage_ns=int(seconds * 1e9)),
            io=IoStats(read_bytes=int(seconds * 1000)),
            memory=MemoryStats(usage_bytes=2**20, limit_bytes=2**22),
            pids=PidsStats(current=3, limit=10),
        )
        for name, seconds in cpu_s.items()
    }
    return Sample(at, stats, {name: {} for name in stats})


def test_the_busiest_comes_first_and_equals_by_name() -> None:
    usages = sample(12.0, a=1, c=3, b=3).since(sample(10.0, a=1, b=1, c=1))
    assert [(one.name, one.cpu_percent) for one in usages] == [("b", 100), ("c", 100), ("a", 0)]
    assert usages[0].read_bytes_s == 1000
    assert usages[0].row()[:6] == ["b", "100.0", "1Mi", "4Mi", "25", "3/10"]


def test_what_was_started_or_restarted_since_counts_from_its_start() -> None:
    usages = sample(12.0, new=1, again=0.5).since(sample(10.0, again=100))
    assert {one.name: one.cpu_percent for one in usages} == {"new": 50, "again": 25}
    assert all(one.read_bytes_s >= 0 for one in usages)


def test_pressure_is_the_kernels_avg10_of_some(tmp_path: Path) -> None:
    line = "some avg10={} avg60=9.00 avg300=9.00 total=9\nfull avg10=7.00 avg60=0 avg300=0 total=0"
    (tmp_path / "cpu.pressure").write_text(line.format("12.34"))
    (tmp_path / "io.pressure").write_text(line.format("0.10"))
    assert read_pressure({"unified": str(tmp_path)}) == {"cpu": 12.34, "io": 0.1}
    assert read_pressure({"memory": str(tmp_path)}) == {}


@pytest.mark.parametrize(
    ("pressure", "spelled"),
    [
        ({}, ""),
        ({"cpu": 0.2, "io": 0.0}, "none"),
        ({"cpu": 12.3, "memory": 0.0, "io": 3.0}, "cpu 12% io 3%"),
    ],
)
def test_pressure_is_spelled_where_there_is_any(pressure: dict[str, float], spelled: str) -> None:
    assert spell_pressure(pressure) == spelled
