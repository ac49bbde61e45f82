"""What containers use, and how much they wait for it, as figures and as text.

Called by `stats`, `top` and `why`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.engine.container import Container
    from reconciler.model.stats import Stats

_KINDS = ("cpu", "memory", "io")


def stats_if_alive(container: Container) -> Stats | None:
    """Return the figures; None for a container that does not run (any more) or has no cgroup."""
    from reconciler.errors import ErrorCode, ReconcilerError

    try:
        return container.stats() if container.status().has_processes() else None
    except ReconcilerError as error:
        if error.code in (
            *(ErrorCode.ContainerNotRunning, ErrorCode.ContainerDestroyed),
            ErrorCode.CgroupUnavailable,
        ):
            return None
        raise


def describe_without(containers: Iterable[Container]) -> str | None:
    """Return a line on those that run without a cgroup, as an ordinary user's may."""
    names = [
        one.id for one in containers if not one.record.cgroups and one.status().has_processes()
    ]
    if not names:
        return None
    why = "no cgroup is delegated to this user (see: reconciler explain CgroupUnavailable)"
    return f"no figures of {', '.join(names)}: {why}"


def read_pressure(cgroups: Mapping[str, str]) -> dict[str, float]:
    """Return the percentage of the last 10 s in which a task waited for cpu, memory and io.

    Only cgroup v2 has it, and only a kernel with PSI (kernel: accounting/psi.rst); what is not
    there is left out.
    """
    found: dict[str, float] = {}
    for kind in _KINDS:
        try:
            with open(os.path.join(cgroups["unified"], f"{kind}.pressure")) as file:
                fields = dict(part.split("=") for part in file.readline().split()[1:])
        except (OSError, KeyError):
            continue
        found[kind] = float(fields["avg10"])
    return found


def spell_pressure(pressure: Mapping[str, float]) -> str:
    """Return `cpu 12% io 3%`, `none` where nothing waits, nothing where it is not known."""
    waits = " ".join(f"{kind} {share:.0f}%" for kind, share in pressure.items() if share >= 0.5)
    return waits or ("none" if pressure else "")


def size(size_bytes: float | None) -> str:
    """Return `12.3Mi`, and nothing for what is not known or unlimited."""
    from reconciler.model.quantity import format_size_rounded

    return "" if size_bytes is None else format_size_rounded(int(size_bytes))
