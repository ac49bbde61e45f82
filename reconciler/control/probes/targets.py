"""Which runs of containers have probes. Called by whoever probes, and by observation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reconciler.model.spec import Probes
from reconciler.model.world import Observed

_NO_PROBES = Probes()


class Target(NamedTuple):
    """One run of a container whose spec has probes."""

    name: str
    pid: int
    started_at: float
    probes: Probes


def targets_of(observed: Iterable[Observed]) -> Iterator[Target]:
    """Yield the runs that have probes, of containers that run or are paused."""
    for one in observed:
        if one.spec is None or one.spec.probes == _NO_PROBES:
            continue
        if one.status.has_processes() and one.pid is not None and one.started_at is not None:
            yield Target(one.name, one.pid, one.started_at, one.spec.probes)
