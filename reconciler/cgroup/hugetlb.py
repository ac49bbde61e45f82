"""Limits of huge pages, by page size, of v1 and v2 (kernel: admin-guide/cgroup-v1/hugetlb.rst).

The limit is written of pages in use and, where the kernel has it (5.7), of reserved ones: mmap(2)
fails then, and no access with SIGBUS. Shown is that of pages in use.
"""

from __future__ import annotations

import os

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import HUGETLB, Limits, Unsupported, changed_fields, typed_rows
from reconciler.lean import Collection, pattern
from reconciler.model.frozen import replace
from reconciler.model.stats import HugetlbStats, Stats
from reconciler.model.value import Value

_UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30}
_HUGE_PAGES = "/sys/kernel/mm/hugepages"


class Hugetlb:
    """The controller, as `driver.Controller`; v1 and v2 differ in the names of files."""

    NAME = "hugetlb"
    FIELDS = (HUGETLB,)

    def __init__(self, *, is_v1: bool) -> None:
        self._limit = "limit_in_bytes" if is_v1 else "max"
        self._usage = "usage_in_bytes" if is_v1 else "current"
        self._unlimited = "-1" if is_v1 else "max"
        self._is_v1 = is_v1
        self._names = pattern(rf"hugetlb\.([0-9]+)([KMG]B)\.{self._limit}")

    def shown_fields(self, base: str) -> tuple[str, ...]:
        """Return the fields that all cgroups show: none without being asked."""
        return ()

    def unsupported(self, base: str, wanted: Limits) -> list[Unsupported]:
        """Return the wanted limits that cannot be enforced below `base`."""
        found = []
        for size_bytes, _ in typed_rows(wanted[HUGETLB]):
            if not files.exists(f"{_HUGE_PAGES}/hugepages-{size_bytes // 1024}kB"):
                reason = f"this machine has no huge pages of {convert.format_huge_page(size_bytes)}"
                found.append(Unsupported(HUGETLB, reason, f"see {_HUGE_PAGES} for its sizes"))
        return found

    def write_limits(self, path: str, wanted: Limits, shown: Limits | None = None) -> None:
        """Write what is not shown already. Raises: OSError with path and data."""
        if HUGETLB not in changed_fields(wanted, shown or {}):
            return
        limits = dict(typed_rows(wanted[HUGETLB]))
        lifted = {size: self._unlimited for size in self._read(path) if size not in limits}
        for size_bytes, limit in (lifted | limits).items():
            start = f"{path}/hugetlb.{convert.format_huge_page(size_bytes)}"
            if files.exists(f"{start}.rsvd.{self._limit}"):
                files.write_text(f"{start}.rsvd.{self._limit}", str(limit))
            files.write_text(f"{start}.{self._limit}", str(limit))

    def read_limits(self, path: str, asked: Collection[str] = ()) -> dict[str, Value]:
        """Return the limits in canonical form, if they are asked for.

        Raises: OSError with the path.
        """
        return {HUGETLB: tuple(sorted(self._read(path).items()))} if HUGETLB in asked else {}

    def _read(self, path: str) -> dict[int, int]:
        """Return the limits by page size, of those sizes that have one."""
        limits = {}
        for size_bytes, name in self._sizes(path).items():
            text = files.read_text(f"{path}/{name}").strip()
            # v1 shows "none" as the most that it can count, in whole pages of this size.
            if text != "max" and int(text) < 2**63 - 2 * size_bytes:
                limits[size_bytes] = int(text)
        return limits

    def _sizes(self, path: str) -> dict[int, str]:
        """Return the name of the limit's file by page size."""
        matches = filter(None, map(self._names.fullmatch, os.listdir(path)))
        return {int(match[1]) * _UNITS[match[2]]: match[0] for match in matches}

    def read_stats(self, path: str, stats: Stats) -> Stats:
        """Return `stats` with the use of huge pages filled in. Raises: OSError with the path."""
        rows = [
            self._read_size(f"{path}/{name.removesuffix(self._limit)}", size_bytes)
            for size_bytes, name in sorted(self._sizes(path).items())
        ]
        return replace(stats, hugetlb=tuple(rows))

    def _read_size(self, start: str, size_bytes: int) -> HugetlbStats:
        usage = int(files.read_text(f"{start}{self._usage}"))
        if self._is_v1:
            peak = int(files.read_text(f"{start}max_usage_in_bytes"))
            hits = int(files.read_text(f"{start}failcnt"))
        else:
            peak, hits = None, files.read_flat(f"{start}events").get("max", 0)
        return HugetlbStats(
            page_size_bytes=size_bytes, usage_bytes=usage, peak_bytes=peak, limit_hits=hits
        )
