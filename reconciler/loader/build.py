"""A valid document to a `Spec`: quantities to numbers, paths made absolute, defaults filled in.

Called by `parse` with data that the schema and the rules have accepted. Defaults come from the
model alone: what a file does not give is not passed on. Pure functions.
"""

from __future__ import annotations

import os.path
from dataclasses import replace
from typing import Any

from reconciler.model.codec import spec_digest
from reconciler.model.config import (
    Config,
    CpuLimits,
    IoDeviceLimits,
    IoLimits,
    LogLimits,
    MemoryLimits,
    Mount,
    MountType,
    NetworkMode,
    PidsLimits,
    Resources,
    Rlimit,
    Rootfs,
    SeccompMode,
    Security,
)
from reconciler.model.quantity import parse_cpu, parse_duration, parse_size
from reconciler.model.spec import (
    Backoff,
    DesiredState,
    Kind,
    Origin,
    Restart,
    RestartPolicy,
    Spec,
    Stop,
)

_Data = dict[str, Any]


def build_spec(data: _Data, name: str, origin: Origin) -> Spec:
    """Return the spec of one document; relative paths are relative to `origin.file`."""
    kind = Kind(data.get("kind", Kind.CONTAINER))
    spec = Spec(
        name=name,
        config=_build_config(data, os.path.dirname(origin.file)),
        kind=kind,
        labels=data.get("labels", {}),
        state=DesiredState(data.get("state", DesiredState.RUNNING)),
        restart=_build_restart(data.get("restart", {}), kind),
        stop=_given(Stop, data.get("stop", {}), grace=("grace_ns", parse_duration)),
        origin=origin,
        digest="",
    )
    return replace(spec, digest=spec_digest(spec))


def _given(cls: type, data: _Data, **renamed: tuple[str, Any]) -> Any:
    """Return `cls` from the fields that are given; `renamed` are model field and conversion."""
    values = {}
    for key, value in data.items():
        name, convert = renamed.get(key, (key, None))
        values[name] = value if convert is None else convert(value)
    return cls(**values)


def _build_config(data: _Data, base: str) -> Config:
    values: _Data = {"command": tuple(data["command"])}
    for key in ("env", "workdir", "hostname"):
        if key in data:
            values[key] = data[key]
    if "user" in data:
        values["user"] = str(data["user"])
    if "groups" in data:
        values["groups"] = tuple(map(str, data["groups"]))
    if "rootfs" in data:
        values["rootfs"] = _build_rootfs(data["rootfs"], base)
    if "mounts" in data:
        values["mounts"] = tuple(_build_mount(mount, base) for mount in data["mounts"])
    if "network" in data:
        values["network"] = NetworkMode(data["network"])
    if "resources" in data:
        values["resources"] = _build_resources(data["resources"])
    if "security" in data:
        values["security"] = _build_security(data["security"])
    if "rlimits" in data:
        limits = sorted(data["rlimits"].items())
        values["rlimits"] = tuple(_build_rlimit(name, limit) for name, limit in limits)
    if "oomScoreAdj" in data:
        values["oom_score_adj"] = int(data["oomScoreAdj"])
    if "logs" in data:
        size, files = ("max_size_bytes", parse_size), ("max_files", int)
        values["logs"] = _given(LogLimits, data["logs"], maxSize=size, maxFiles=files)
    return Config(**values)


def _absolute(path: str, base: str) -> str:
    return os.path.normpath(os.path.join(base, path))


def _build_rootfs(data: _Data, base: str) -> Rootfs:
    values = dict(data)
    if "path" in data:
        values["path"] = _absolute(data["path"], base)
    values.setdefault("readonly", not data.get("overlay", False))
    return Rootfs(**values)


def _build_mount(data: _Data, base: str) -> Mount:
    # One leading slash: POSIX lets normpath keep two.
    values: _Data = {
        "type": MountType(data["type"]),
        "target": "/" + os.path.normpath(data["target"]).lstrip("/"),
    }
    if "source" in data:
        values["source"] = _absolute(data["source"], base)
    if "options" in data:
        values["options"] = tuple(data["options"])
    if "size" in data:
        values["size_bytes"] = parse_size(data["size"])
    if "mode" in data:
        values["mode"] = data["mode"]
    return Mount(**values)


def _build_resources(data: _Data) -> Resources:
    size = {key: (f"{key}_bytes", parse_size) for key in ("max", "high", "swap")}
    cpu = {"max": ("max_milli", parse_cpu), "cpus": ("cpus", str), "mems": ("mems", str)}
    weight = {"weight": ("weight", int)}
    io = data.get("io", {})
    devices = [_build_device(device) for device in io.get("max", ())]
    return Resources(
        memory=_given(MemoryLimits, data.get("memory", {}), **size),
        cpu=_given(CpuLimits, data.get("cpu", {}), **cpu, **weight),
        pids=_given(PidsLimits, data.get("pids", {}), max=("max", int)),
        io=_given(
            IoLimits,
            io | {"max": tuple(sorted(devices, key=lambda device: device.device))},
            **weight,
        ),
    )


def _build_device(data: _Data) -> IoDeviceLimits:
    limits: IoDeviceLimits = _given(
        IoDeviceLimits,
        data,
        readBytes=("read_bytes", parse_size),
        writeBytes=("write_bytes", parse_size),
        readOps=("read_ops", int),
        writeOps=("write_ops", int),
    )
    return limits


def _build_security(data: _Data) -> Security:
    security: Security = _given(
        Security,
        data,
        capabilities=("capabilities", lambda names: tuple(sorted(names))),
        noNewPrivileges=("no_new_privileges", None),
        seccomp=("seccomp", SeccompMode),
    )
    return security


def _build_rlimit(name: str, limit: _Data | int | str) -> Rlimit:
    soft, hard = (limit["soft"], limit["hard"]) if isinstance(limit, dict) else (limit, limit)
    return Rlimit(type=name.upper(), soft=_rlimit_value(soft), hard=_rlimit_value(hard))


def _rlimit_value(value: int | str) -> int | None:
    return None if value == "unlimited" else int(value)


def _build_restart(data: _Data, kind: Kind) -> Restart:
    default = RestartPolicy.NEVER if kind is Kind.JOB else RestartPolicy.ALWAYS
    backoff = _given(
        Backoff,
        data.get("backoff", {}),
        initial=("initial_ns", parse_duration),
        factor=("factor", float),
        max=("max_ns", parse_duration),
    )
    return Restart(policy=RestartPolicy(data.get("policy", default)), backoff=backoff)
