"""Files of v2 that have no field of their own: `resources.unified` (kernel: cgroup-v2.rst).

What a file means is the kernel's affair; content is compared in one spelling
(`convert.plain_content`). Files with a field of their own do not come here (`unified_fields`).
"""

from __future__ import annotations

import errno

from reconciler.cgroup import convert, files
from reconciler.cgroup.canonical import (
    UNIFIED_FILES,
    Limits,
    Unsupported,
    typed_rows,
)
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Collection, Iterable, pattern
from reconciler.model.frozen import replace
from reconciler.model.stats import Pressure, Stats
from reconciler.model.value import Value

NAME = "unified"
FIELDS = (UNIFIED_FILES,)

_NAME = pattern(r"[a-z]+(\.[A-Za-z0-9_]+)+")
_OF_CGROUP = ("cgroup.max.depth", "cgroup.max.descendants")
# What acts, or watches, and sets nothing.
_NO_LIMITS = ("memory.reclaim", "memory.peak", "memory.swap.peak")


def shown_fields(base: str) -> tuple[str, ...]:
    """Return the fields that all cgroups show: none without being asked."""
    return ()


def unsupported(base: str, wanted: Limits) -> list[Unsupported]:
    """Return the wanted limits that cannot be enforced below `base`: `find_troubles` tells."""
    return []


def find_troubles(names: Iterable[str], base: str | None) -> list[Unsupported]:
    """Return the files that cannot be set below a directory of v2; None: there is no v2.

    Raises: OSError with the path.
    """
    controllers = [] if base is None else files.read_text(f"{base}/cgroup.controllers").split()
    found = (_trouble(name, controllers) for name in names)
    return [Unsupported(UNIFIED_FILES, *trouble) for trouble in found if trouble is not None]


def _trouble(name: str, controllers: Collection[str]) -> tuple[str, str] | None:
    """Return why a file cannot be set, and what helps."""
    if name in _OF_CGROUP:
        return None
    is_limit = name not in _NO_LIMITS and not name.endswith(".pressure")
    if not is_limit or name.startswith("cgroup.") or not _NAME.fullmatch(name):
        return f"{name} is no limit of cgroup v2", "see cgroup-v2.rst of the kernel for their names"
    controller = name.partition(".")[0]
    if controller in controllers:
        return None
    return f"{name} needs cgroup v2 with its {controller} controller", "boot with cgroup v2 alone"


def write_limits(path: str, wanted: Limits, shown: Limits | None = None) -> None:
    """Write what is not shown already, and lift what is shown and no longer wanted.

    Raises: LimitNotSupported for a file that this kernel does not have; LimitNotApplied for one
    whose unset state is not known; OSError with path and data.
    """
    former = dict(typed_rows((shown or {}).get(UNIFIED_FILES)))
    contents = dict(typed_rows(wanted.get(UNIFIED_FILES)))
    for name in former.keys() - contents.keys():
        _write(path, name, _unset_of(name))
    for name, content in contents.items():
        if former.get(name) != content:
            for line in content.splitlines():
                _write(path, name, line)


def _write(path: str, name: str, line: str) -> None:
    try:
        files.write_text(f"{path}/{name}", line)
    except FileNotFoundError as error:
        message = f"cannot enforce {UNIFIED_FILES}: this kernel has no {name}; leave it out"
        raise ReconcilerError(
            ErrorCode.LimitNotSupported, message, field=UNIFIED_FILES, path=path
        ) from error


def _unset_of(name: str) -> str:
    if name.endswith((".max", ".high", ".depth", ".descendants")):
        return "max"
    if name.endswith((".low", ".min")):
        return "0"
    raise ReconcilerError(
        ErrorCode.LimitNotApplied,
        f"cannot lift {name} of {UNIFIED_FILES} while it runs: nobody knows what it was; restart "
        "the container",
        field=UNIFIED_FILES,
    )


def read_limits(path: str, asked: Collection[str] = ()) -> dict[str, Value]:
    """Return the files that are asked for, as `resources.unified.NAME`, in one spelling.

    Raises: OSError with the path.
    """
    start = f"{UNIFIED_FILES}."
    names = sorted(one.removeprefix(start) for one in asked if one.startswith(start))
    if not names:
        return {}
    texts = ((name, files.read_optional(f"{path}/{name}") or "") for name in names)
    contents = ((name, convert.plain_content(name, text)) for name, text in texts)
    return {UNIFIED_FILES: tuple(pair for pair in contents if pair[1] not in convert.UNSET)}


def read_stats(path: str, stats: Stats) -> Stats:
    """Return `stats` with the time lost by waiting filled in, where the kernel tells it.

    Raises: OSError with the path.
    """
    found = {}
    for resource in ("cpu", "memory", "io"):
        try:
            text = files.read_optional(f"{path}/{resource}.pressure")
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:  # booted with psi=0
                raise
            text = None
        if text is not None:
            found[resource] = _parse_pressure(text)
    return replace(stats, pressure=found)


def _parse_pressure(text: str) -> Pressure:
    """Return the figures of `some avg10=0.00 avg60=0.00 avg300=0.00 total=0` lines."""
    values: dict[str, tuple[float, float, float]] = {}
    totals: dict[str, int] = {}
    for line in text.splitlines():
        kind, *words = line.split()
        ten, minute, five_minutes, total = (word.partition("=")[2] for word in words)
        values[kind] = float(ten), float(minute), float(five_minutes)
        totals[kind] = int(total) * 1000
    none = (0.0, 0.0, 0.0)
    return Pressure(
        some=values.get("some", none),
        some_ns=totals.get("some", 0),
        full=values.get("full", none),
        full_ns=totals.get("full", 0),
    )
