"""A valid document to a `Spec`: quantities to numbers, paths made absolute, defaults filled in.

Called by `parse` with data that the schema and the rules have accepted. Defaults come from the
model alone: what a file does not give is not passed on. Pure functions.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from reconciler.loader.findings import Path
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
from reconciler.model.moment import parse_time
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
    Suspend,
)

_Data = dict[str, Any]
_BaseOf = Callable[[Path], str]


def build_spec(data: _Data, name: str, origin: Origin, base_of: _BaseOf) -> Spec:
    """Return the spec of one document.

    A relative path is relative to the directory that `base_of` returns for its field.
    """
    kind = Kind(data.get("kind", Kind.CONTAINER))
    spec = Spec(
        name=name,
        config=_build_config(data, base_of),
        kind=kind,
        labels=data.get("labels", {}),
        state=DesiredState(data.get("state", DesiredState.RUNNING)),
        restart=_build_restart(data.get("restart", {}), kind),
        deadline_ns=parse_duration(data["deadline"]) if "deadline" in data else None,
        stop=_given(Stop, data.get("stop", {}), grace=("grace_ns", parse_duration)),
        suspend=_build_suspend(data.get("suspend", False)),
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


def _build_config(data: _Data, base_of: _BaseOf) -> Config:
    conversions: dict[str, tuple[str, Any]] = {
        "command": ("command", tuple),
        "env": ("env", None),
        "workdir": ("workdir", None),
        "user": ("user", str),
        "groups": ("groups", lambda groups: tuple(map(str, groups))),
        "hostname": ("hostname", None),
        "rootfs": ("rootfs", lambda rootfs: _build_rootfs(rootfs, base_of)),
        "mounts": ("mounts", lambda mounts: _build_mounts(mounts, base_of)),
        "network": ("network", NetworkMode),
        "resources": ("resources", _build_resources),
        "security": ("security", _build_security),
        "rlimits": ("rlimits", _build_rlimits),
        "oomScoreAdj": ("oom_score_adj", int),
        "logs": ("logs", _build_logs),
    }
    given = {key: value for key, value in data.items() if key in conversions}
    config: Config = _given(Config, given, **conversions)
    return config


def _absolute(path: str, base: str) -> str:
    return os.path.normpath(os.path.join(base, path))


def _build_rootfs(data: _Data, base_of: _BaseOf) -> Rootfs:
    values = dict(data)
    if "path" in data:
        values["path"] = _absolute(data["path"], base_of(("rootfs", "path")))
    values.setdefault("readonly", not data.get("overlay", False))
    return Rootfs(**values)


def _build_mounts(items: list[_Data], base_of: _BaseOf) -> tuple[Mount, ...]:
    bases = (base_of(("mounts", index)) for index in range(len(items)))
    return tuple(map(_build_mount, items, bases))


def _build_mount(data: _Data, base: str) -> Mount:
    # One leading slash: POSIX lets normpath keep two.
    mount: Mount = _given(
        Mount,
        data,
        type=("type", MountType),
        source=("source", lambda path: _absolute(path, base)),
        target=("target", lambda path: "/" + os.path.normpath(path).lstrip("/")),
        options=("options", tuple),
        size=("size_bytes", parse_size),
        mode=("mode", lambda mode: format(int(mode, 8), "04o")),
    )
    return mount


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


def _build_logs(data: _Data) -> LogLimits:
    size, files = ("max_size_bytes", parse_size), ("max_files", int)
    logs: LogLimits = _given(LogLimits, data, maxSize=size, maxFiles=files)
    return logs


def _build_rlimits(data: _Data) -> tuple[Rlimit, ...]:
    return tuple(_build_rlimit(name, limit) for name, limit in sorted(data.items()))


def _build_rlimit(name: str, limit: _Data | int | str) -> Rlimit:
    soft, hard = (limit["soft"], limit["hard"]) if isinstance(limit, dict) else (limit, limit)
    return Rlimit(type=name.upper(), soft=_rlimit_value(soft), hard=_rlimit_value(hard))


def _rlimit_value(value: int | str) -> int | None:
    return None if value == "unlimited" else int(value)


def _build_suspend(data: _Data | bool) -> Suspend | None:
    if isinstance(data, bool):
        return Suspend() if data else None
    suspend: Suspend = _given(Suspend, data, until=("until", parse_time))
    return suspend


def _build_restart(data: _Data, kind: Kind) -> Restart:
    default = RestartPolicy.NEVER if kind is Kind.JOB else RestartPolicy.ALWAYS
    backoff = _given(
        Backoff,
        data.get("backoff", {}),
        initial=("initial_ns", parse_duration),
        factor=("factor", float),
        max=("max_ns", parse_duration),
        jitter=("jitter", float),
    )
    restart: Restart = _given(
        Restart,
        data | {"policy": data.get("policy", default), "backoff": backoff},
        policy=("policy", RestartPolicy),
        resetAfter=("reset_after_ns", parse_duration),
        maxAttempts=("max_attempts", int),
        permanentExitCodes=("permanent_exit_codes", lambda codes: tuple(sorted(set(codes)))),
    )
    return restart
