"""A valid document's fields of isolation to the model's `Isolation`; called by `build`.

They are those of the OCI runtime specification that a spec file has under its own names, without
the prefixes of the kernel's constants. Pure functions.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable
from typing import Any

from reconciler.loader.findings import Path
from reconciler.model.isolation import (
    Capabilities,
    Device,
    Hook,
    Hooks,
    IdMapping,
    IoPriority,
    Isolation,
    MemoryPolicy,
    Namespaces,
    Scheduler,
)
from reconciler.model.quantity import parse_duration

_Data = dict[str, Any]
_BaseOf = Callable[[Path], str]

DEFAULT_TIMEOUT = "30s"
"""How long a hook may take that says nothing else."""

HOOK_KINDS = {
    "prestart": "prestart",
    "createRuntime": "create_runtime",
    "createContainer": "create_container",
    "startContainer": "start_container",
    "poststart": "poststart",
    "poststop": "poststop",
}
"""Kinds of hooks, and the model's fields of them."""

OF_ROOTFS = {"propagation": "rootfs_propagation", "noPivot": "no_pivot"}
"""Fields of `rootfs` that are the model's `Isolation`'s."""

OF_SECURITY = {"apparmorProfile": "apparmor_profile", "selinuxLabel": "selinux_label"}
"""Fields of `security` that are the model's `Isolation`'s."""


def build_isolation(data: _Data, profile: str | None, base_of: _BaseOf) -> Isolation | None:
    """Return what a document says of isolation, None when that is nothing.

    `profile` is its seccomp profile, as JSON text; `base_of` returns the directory that relative
    paths of a field are relative to.
    """
    values = {
        name: convert(data[key]) for key, (name, convert) in _CONVERSIONS.items() if key in data
    }
    if data.get("hooks"):
        values["hooks"] = _build_hooks(data["hooks"], base_of)
    if "cpuAffinity" in data:
        values |= _build_affinity(data["cpuAffinity"])
    security = data.get("security", {})
    values |= {name: security[key] for key, name in OF_SECURITY.items() if key in security}
    sets = security.get("capabilities")
    if isinstance(sets, dict):
        values["capabilities"] = Capabilities(
            **{kind: tuple(sorted(names)) for kind, names in sets.items()}
        )
    rootfs = data.get("rootfs", {})
    values |= {name: rootfs[key] for key, name in OF_ROOTFS.items() if key in rootfs}
    if profile is not None:
        values["seccomp"] = profile
    return Isolation(**values) if values else None


def _build_sysctl(data: _Data) -> dict[str, str]:
    return {name: str(value) for name, value in sorted(data.items())}


def build_mappings(rows: list[_Data]) -> tuple[IdMapping, ...]:
    """Return a list of id mappings."""
    return tuple(
        IdMapping(container_id=row["containerID"], host_id=row["hostID"], size=row["size"])
        for row in rows
    )


def _build_scheduler(data: _Data) -> Scheduler:
    times = {
        f"{name}_ns": parse_duration(data[name])
        for name in ("runtime", "deadline", "period")
        if name in data
    }
    return Scheduler(
        policy=f"SCHED_{data['policy']}",
        nice=data.get("nice"),
        priority=data.get("priority"),
        flags=tuple(f"SCHED_FLAG_{name}" for name in data.get("flags", ())),
        **times,
    )


def _build_affinity(data: _Data | str | int) -> dict[str, Any]:
    given = data if isinstance(data, dict) else {"init": data, "exec": data}
    texts = {name: str(cpus) for name, cpus in given.items()}
    return {"init_affinity": texts.get("init"), "cpu_affinity": (None, texts.get("exec"))}


def _build_memory_policy(data: _Data) -> MemoryPolicy:
    return MemoryPolicy(
        mode=f"MPOL_{data['mode']}",
        nodes=str(data["nodes"]) if "nodes" in data else None,
        flags=tuple(f"MPOL_F_{name}" for name in data.get("flags", ())),
    )


def _build_device(data: _Data) -> Device:
    return Device(
        path=os.path.normpath(data["path"]),
        type=data.get("type", ""),
        major=data.get("major", 0),
        minor=data.get("minor", 0),
        mode=int(data.get("mode", "0666"), 8),
        uid=data.get("uid", 0),
        gid=data.get("gid", 0),
        access="".join(letter for letter in "rwm" if letter in data.get("access", "rw")),
    )


def _build_hooks(data: _Data, base_of: _BaseOf) -> Hooks:
    return Hooks(
        **{
            name: tuple(
                _build_hook(one, base_of(("hooks", kind, index)))
                for index, one in enumerate(data.get(kind, ()))
            )
            for kind, name in HOOK_KINDS.items()
        }
    )


def _build_hook(data: _Data, base: str) -> Hook:
    command = data["command"]
    return Hook(
        path=os.path.normpath(os.path.join(base, command[0])),
        args=tuple(command),
        env=tuple(f"{name}={value}" for name, value in sorted(data.get("env", {}).items())),
        timeout_s=parse_duration(data.get("timeout", DEFAULT_TIMEOUT)) / 1e9,
    )


def _build_offsets(data: _Data) -> dict[str, tuple[int, int]]:
    return {clock: _seconds_of(str(offset)) for clock, offset in sorted(data.items())}


def _seconds_of(offset: str) -> tuple[int, int]:
    """Return the whole seconds, rounded down, and the nanoseconds beyond them."""
    nanoseconds = parse_duration(offset.removeprefix("-"))
    return divmod(-nanoseconds if offset.startswith("-") else nanoseconds, 10**9)


def _build_io_priority(data: _Data) -> IoPriority:
    given = {key: value for key, value in data.items() if key != "class"}
    return IoPriority(io_class=f"IOPRIO_CLASS_{data['class']}", **given)


_CONVERSIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "domainname": ("domainname", str),
    "namespaces": ("namespaces", lambda modes: Namespaces(**modes)),
    "uidMappings": ("uid_mappings", build_mappings),
    "gidMappings": ("gid_mappings", build_mappings),
    "sysctl": ("sysctl", _build_sysctl),
    "timeOffsets": ("time_offsets", _build_offsets),
    "personality": ("personality", str),
    "memoryPolicy": ("memory_policy", _build_memory_policy),
    "devices": ("devices", lambda rows: tuple(map(_build_device, rows))),
    "netDevices": ("net_devices", dict),
    "annotations": ("annotations", dict),
    "umask": ("umask", lambda mask: int(mask, 8)),
    "scheduler": ("scheduler", _build_scheduler),
    "ioPriority": ("io_priority", _build_io_priority),
    "maskedPaths": ("masked_paths", tuple),
    "readonlyPaths": ("readonly_paths", tuple),
}
