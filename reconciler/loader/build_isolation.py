"""A valid document's fields of isolation to the model's `Isolation`; called by `build`.

They are those of the OCI runtime specification that a spec file has under its own names, without
the prefixes of the kernel's constants. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.model.isolation import IdMapping, IoPriority, Isolation, Namespaces, Scheduler

_Data = dict[str, Any]

OF_SECURITY = {"apparmorProfile": "apparmor_profile", "selinuxLabel": "selinux_label"}
"""Fields of `security` that are the model's `Isolation`'s."""


def build_isolation(data: _Data) -> Isolation | None:
    """Return what a document says of isolation, None when that is nothing."""
    values = {
        name: convert(data[key]) for key, (name, convert) in _CONVERSIONS.items() if key in data
    }
    security = data.get("security", {})
    values |= {name: security[key] for key, name in OF_SECURITY.items() if key in security}
    return Isolation(**values) if values else None


def _build_sysctl(data: _Data) -> dict[str, str]:
    return {name: str(value) for name, value in sorted(data.items())}


def _build_mappings(rows: list[_Data]) -> tuple[IdMapping, ...]:
    return tuple(
        IdMapping(container_id=row["containerID"], host_id=row["hostID"], size=row["size"])
        for row in rows
    )


def _build_scheduler(data: _Data) -> Scheduler:
    return Scheduler(**data | {"policy": f"SCHED_{data['policy']}"})


def _build_io_priority(data: _Data) -> IoPriority:
    given = {key: value for key, value in data.items() if key != "class"}
    return IoPriority(io_class=f"IOPRIO_CLASS_{data['class']}", **given)


_CONVERSIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "domainname": ("domainname", str),
    "namespaces": ("namespaces", lambda modes: Namespaces(**modes)),
    "uidMappings": ("uid_mappings", _build_mappings),
    "gidMappings": ("gid_mappings", _build_mappings),
    "sysctl": ("sysctl", _build_sysctl),
    "umask": ("umask", lambda mask: int(mask, 8)),
    "scheduler": ("scheduler", _build_scheduler),
    "ioPriority": ("io_priority", _build_io_priority),
    "maskedPaths": ("masked_paths", tuple),
    "readonlyPaths": ("readonly_paths", tuple),
}
