"""Conversions between a spec's units and what cgroup files hold. Pure; no model.

Called by the controllers and by `canonical`: both use the same functions, so that what
was written and what is wanted compare equal.
"""

from __future__ import annotations

import os

from reconciler.lean import ASCII, pattern

_SIZE = pattern(r"([0-9]+(?:\.[0-9]+)?)([KMGTPEkmgtpe]?)", ASCII)
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# What v1 shows for "no limit": the kernel counts pages in a signed long.
MEMORY_UNLIMITED_BYTES = (2**63 - 1) // PAGE_BYTES * PAGE_BYTES

DEFAULT_WEIGHT = 100
# What files of cgroup v2 hold that were not set, as `plain_content` spells it.
UNSET = ("", "0", "max", "default 100")
DEFAULT_SHARES = 1024
PERIOD_US = 100_000
REALTIME_PERIOD_US = 1_000_000
_LONGEST_PERIOD_US = 1_000_000
_SHORTEST_QUOTA_US = 1_000


def page_floor(size_bytes: int | None) -> int | None:
    """Return bytes as the kernel keeps them: whole pages, rounded down; None is unlimited."""
    if size_bytes is None or size_bytes >= MEMORY_UNLIMITED_BYTES:
        return None
    return size_bytes // PAGE_BYTES * PAGE_BYTES


def parse_max(text: str) -> int | None:
    """Return the number of a file that holds a number or `max`."""
    text = text.strip()
    return None if text == "max" else int(text)


def format_max(value: object) -> str:
    """Return what a file takes that holds a number or `max`."""
    return "max" if value is None else str(value)


def quota_of(milli: float) -> tuple[int, int]:
    """Return quota and period in microseconds for thousandths of a CPU.

    The kernel takes no quota under 1 ms, so under 10m the period is the longest, 1 s.
    """
    quota_us = round(milli * PERIOD_US / 1000)
    if quota_us >= _SHORTEST_QUOTA_US:
        return quota_us, PERIOD_US
    return round(milli * _LONGEST_PERIOD_US / 1000), _LONGEST_PERIOD_US


def period_of(milli: float | None) -> int:
    """Return the period in microseconds that `quota_of` takes; that of no quota for None."""
    return PERIOD_US if milli is None else quota_of(milli)[1]


def quota_in(milli: float, period_us: int) -> int:
    """Return the quota of a period that gives thousandths of a CPU, both in microseconds."""
    return round(milli * period_us / 1000)


def milli_of(quota_us: int, period_us: int) -> int | float:
    """Return thousandths of a CPU for quota and period; a float only where it is no whole one."""
    return _whole_or_float(quota_us * 1000 / period_us)


def shares_of(weight: float) -> int:
    """Return v1 cpu.shares for a v2 cpu.weight, as the scheduler itself converts.

    `DIV_ROUND_CLOSEST(weight * 1024, 100)` (kernel/sched/sched.h): the defaults 100 and 1024
    mean the same, and a spec gets the same share of the CPU on v1 and v2.
    """
    return max(2, int(weight * DEFAULT_SHARES + DEFAULT_WEIGHT // 2) // DEFAULT_WEIGHT)


def weight_of(shares: int) -> int | float:
    """Return the cpu.weight that gives `shares`; a float where no weight does."""
    exact = shares * DEFAULT_WEIGHT / DEFAULT_SHARES
    weight = round(exact)
    return weight if weight >= 1 and shares_of(weight) == shares else round(exact, 3)


def weight_of_oci_shares(shares: int) -> int:
    """Return the cpu.weight for v1 shares, by the linear mapping of runc and crun.

    It maps the ranges onto each other (2-262144 onto 1-10000), so that the default 1024 is 39.
    """
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9999 // 262_142


def weight_of_oci_blkio(blkio_weight: int) -> int:
    """Return the io.weight for a v1 blkio weight (10-1000 onto 1-10000), as runc and crun do."""
    return 1 + (min(max(blkio_weight, 10), 1000) - 10) * 9999 // 990


def bfq_weight_of(weight: int) -> int:
    """Return BFQ's weight (1-1000) for an io.weight (1-10000), 100 being both defaults.

    Two straight lines meeting at the default, as systemd does it (BFQ_WEIGHT).
    """
    if weight <= DEFAULT_WEIGHT:
        return weight
    return DEFAULT_WEIGHT + (weight - DEFAULT_WEIGHT) * 900 // 9900


def weight_of_bfq(bfq_weight: int) -> int:
    """Return the smallest io.weight that `bfq_weight_of` turns into this."""
    if bfq_weight <= DEFAULT_WEIGHT:
        return bfq_weight
    return DEFAULT_WEIGHT + (bfq_weight - DEFAULT_WEIGHT) * 11


def parse_list(text: str) -> set[int]:
    """Return the numbers of a cpuset list such as `0-3,8`.

    Raises: ValueError when it is none (cpuset(7), "List format").
    """
    numbers: set[int] = set()
    for part in text.strip().split(",") if text.strip() else []:
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"{text.strip()!r} is not a list such as 0-3,8")
        span = range(int(first), int(last or first) + 1)
        if not span or span[-1] > 2**16:
            raise ValueError(f"{part!r} is not a range such as 0-3")
        numbers.update(span)
    return numbers


def format_list(numbers: set[int]) -> str:
    """Return the kernel's spelling of a set of CPUs or nodes: `0-3,8`."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def format_huge_page(size_bytes: int) -> str:
    """Return a page size as the names of hugetlb files have it: `2MB`, `1GB`, `64KB`."""
    for unit, name in ((2**30, "GB"), (2**20, "MB")):
        if size_bytes >= unit:
            return f"{size_bytes // unit}{name}"
    return f"{size_bytes // 2**10}KB"


def plain_content(name: str, text: str) -> str:
    """Return what a file of cgroup v2 holds in one spelling, whether written or shown.

    Lines are sorted, sizes are in bytes, values of `max` within lines are left out, and a lone
    weight is that of `default` (cgroup-v2.rst, "Format").
    """
    rows = sorted(filter(None, (_plain_line(name, line) for line in text.splitlines())))
    if len(rows) == 1 and name.endswith("weight") and rows[0].isdecimal():
        return f"default {rows[0]}"
    return "\n".join(rows)


def _plain_line(name: str, line: str) -> str:
    words = line.split()
    kept = [word for word in words if not word.endswith("=max")]
    if len(words) > 1 and (len(kept) == 1 or words[-1] == "max"):
        return ""  # a line for a device, or a resource, that is not limited
    return " ".join(_plain_word(name, word) for word in kept)


def _plain_word(name: str, word: str) -> str:
    match = _SIZE.fullmatch(word)
    if match is None:
        return word
    number = float(match[1]) if "." in match[1] else int(match[1])
    number *= 1024 ** " KMGTPE".index(match[2].upper() or " ")
    if number != int(number):
        return str(number)
    if name.startswith(("memory.", "hugetlb.")) and number >= PAGE_BYTES:
        return format_max(page_floor(int(number)))
    return str(int(number))


def _whole_or_float(value: float) -> int | float:
    return int(value) if value == int(value) else round(value, 3)
