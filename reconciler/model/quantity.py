"""Quantities as people write them: `256Mi`, `1500m`, `1m30s`; and back again.

Sizes and CPU amounts are Kubernetes' (k8s.io apimachinery `resource.Quantity`, without
exponents), durations are Go's (`time.ParseDuration`). Pure functions; a bad text raises
`ValueError` with a message that says what is allowed.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

_SIZE_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
}
_DURATION_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", re.ASCII)
_CPU = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m?)", re.ASCII)
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)", re.ASCII)
_MAX_INT = 2**63 - 1
_MAX_LENGTH = 64  # no sensible quantity is longer; bounds the arithmetic
# A few spellings make up most quantities of many specs; each is looked at three times.
_remember = lru_cache(maxsize=4096, typed=True)


@_remember
def parse_size(text: str | int) -> int:
    """Return the bytes of a size such as `64Mi`, `1.5G` or `4096`.

    Raises: ValueError when it is not a size, is a fraction of a byte or exceeds 2^63-1.
    """
    match = _match(_SIZE, text)
    if match is None or match[2] not in _SIZE_UNITS:
        hint = _size_hint(match) if match else ""
        shown = _shown(text)
        raise ValueError(f"{shown} is not a size (examples: 64Mi, 1.5Gi, 500M, 4096){hint}")
    size = Decimal(match[1]) * _SIZE_UNITS[match[2]]
    if size != int(size):
        raise ValueError(f"{text!r} is not a whole number of bytes")
    if size > _MAX_INT:
        raise ValueError(f"{text!r} is more than 2^63-1 bytes")
    return int(size)


@_remember
def parse_cpu(text: str | float) -> int:
    """Return the milli-CPUs of an amount such as `1500m`, `1.5` or `2`.

    Raises: ValueError when it is not an amount, is finer than 1m or exceeds 2^31-1.
    """
    match = _match(_CPU, text)
    if match is None:
        share = str(text).removesuffix("%")
        hint = f"; write {share}0m" if share.isdecimal() and share != text else ""
        raise ValueError(f"{_shown(text)} is not an amount of CPU (examples: 500m, 1.5, 2){hint}")
    milli = Decimal(match[1]) * (1 if match[2] else 1000)
    if milli != int(milli):
        raise ValueError(f"{text!r} is finer than 1m (a thousandth of a CPU)")
    if milli > 2**31 - 1:
        raise ValueError(f"{text!r} is more CPU than any host has")
    return int(milli)


@_remember
def parse_duration(text: str | int) -> int:
    """Return the nanoseconds of a duration such as `500ms`, `1m30s` or `0`.

    Raises: ValueError when it is not a duration or exceeds 2^63-1 ns (292 years).
    """
    shown, text = _shown(text), str(text)
    total = Decimal(0)
    position = 0
    for match in _DURATION_PART.finditer(text[:_MAX_LENGTH]):
        if match.start() != position:
            break
        total += Decimal(match[1]) * _DURATION_UNITS_NS[match[2]]
        position = match.end()
    if text != "0" and (position != len(text) or not text):
        hint = f"; write {text}s" if text.isdecimal() and len(text) <= _MAX_LENGTH else ""
        raise ValueError(f"{shown} is not a duration (examples: 500ms, 10s, 1m30s, 2h){hint}")
    if total > _MAX_INT:
        raise ValueError(f"{shown} is longer than 292 years")
    return int(total)


def _match(pattern: re.Pattern[str], text: str | float) -> re.Match[str] | None:
    text = str(text)
    return pattern.fullmatch(text) if len(text) <= _MAX_LENGTH else None


def _shown(text: str | float) -> str:
    return repr(text) if len(str(text)) <= _MAX_LENGTH else repr(str(text)[:20] + "...")


def _size_hint(match: re.Match[str]) -> str:
    """Return `; write 256M or 256Mi` for a unit such as MB, m or mib."""
    number, letter = match[1], match[2][:1].upper()
    if letter not in set("KMGTP"):
        return ""
    return f"; write {number}{letter.replace('K', 'k')} or {number}{letter}i"


def format_size(size_bytes: int) -> str:
    """Return the shortest exact spelling: 268435456 is `256Mi`, 1000 is `1000`."""
    for unit in ("Pi", "Ti", "Gi", "Mi", "Ki"):
        if size_bytes and size_bytes % _SIZE_UNITS[unit] == 0:
            return f"{size_bytes // _SIZE_UNITS[unit]}{unit}"
    return str(size_bytes)


def format_size_rounded(size_bytes: int) -> str:
    """Return a size for people, at most one decimal: 1288490188 is `1.2Gi`."""
    for unit in ("Pi", "Ti", "Gi", "Mi", "Ki"):
        if size_bytes >= _SIZE_UNITS[unit]:
            return f"{size_bytes / _SIZE_UNITS[unit]:.1f}".removesuffix(".0") + unit
    return str(size_bytes)


def format_cpu(milli: int) -> str:
    """Return `2` for 2000 and `1500m` for 1500."""
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def format_duration(duration_ns: int) -> str:
    """Return the Go spelling of a duration: 90 s is `1m30s`, 0 is `0s`."""
    if duration_ns == 0:
        return "0s"
    parts: list[str] = []
    for unit in ("h", "m", "s", "ms", "us", "ns"):
        count, duration_ns = divmod(duration_ns, _DURATION_UNITS_NS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
