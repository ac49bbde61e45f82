"""A valid document to a `Spec`: quantities to numbers, paths made absolute, defaults filled in.

Called by `parse` with data that the schema and the rules have accepted. Defaults come from the
model alone: what a file does not give is not passed on. Pure functions.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable
from typing import Any

from reconciler.loader.build_isolation import (
    OF_ROOTFS,
    OF_SECURITY,
    build_isolation,
    build_mappings,
)
from reconciler.loader.findings import Path
from reconciler.model.codec import spec_digest
from reconciler.model.config import (
    Config,
    CpuLimits,
    HugetlbLimit,
    IoDeviceLimits,
    IoDeviceWeight,
    IoLimits,
    LogLimits,
    MemoryLimits,
    Mount,
    MountType,
    NetClass,
    NetworkMode,
    PidsLimits,
    RdmaLimit,
    Resources,
    Rlimit,
    Rootfs,
    SeccompMode,
    Security,
)
from reconciler.model.frozen import replace
from reconciler.model.moment import parse_time
from reconciler.model.quantity import parse_cpu, parse_duration, parse_size
from reconciler.model.spec import (
    Backoff,
    Dependency,
    DependencyCondition,
    DesiredState,
    Drift,
    DriftPolicy,
    Enforcement,
    HttpCheck,
    Kind,
    Origin,
    Probe,
    Probes,
    Prune,
    PruneMode,
    Reaction,
    ReactionKind,
    Reference,
    Restart,
    RestartPolicy,
    Spec,
    Stop,
    Suspend,
    TcpCheck,
)

_Data = dict[str, Any]
_BaseOf = Callable[[Path], str]


def build_spec(
    data: _Data,
    name: str,
    origin: Origin,
    base_of: _BaseOf,
    references: tuple[Reference, ...] = (),
    profile: str | None = None,
) -> Spec:
    """Return the spec of one document.

    A relative path is relative to the directory that `base_of` returns for its field.
    `references` are the files that it refers to; `profile` is its seccomp profile, as JSON text.
    """
    kind = Kind(data.get("kind", Kind.CONTAINER))
    spec = Spec(
        name=name,
        config=_build_config(data, base_of, profile),
        kind=kind,
        labels=data.get("labels", {}),
        state=DesiredState(data.get("state", DesiredState.RUNNING)),
        restart=_build_restart(data.get("restart", {}), kind),
        deadline_ns=parse_duration(data["deadline"]) if "deadline" in data else None,
        stop=_build_stop(data.get("stop", {})),
        suspend=_build_suspend(data.get("suspend", False)),
        prune=_build_prune(data.get("prune", {})),
        drift=_build_drift(data.get("drift", {})),
        enforcement={
            path: Enforcement(value) for path, value in data.get("enforcement", {}).items()
        },
        depends_on=_build_dependencies(data.get("dependsOn", {})),
        references=references,
        probes=Probes(**{kind: _build_probe(one) for kind, one in data.get("probes", {}).items()}),
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


def _build_config(data: _Data, base_of: _BaseOf, profile: str | None) -> Config:
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
    isolation = build_isolation(data, profile, base_of)
    return config if isolation is None else replace(config, isolation=isolation)


def _absolute(path: str, base: str) -> str:
    return os.path.normpath(os.path.join(base, path))


def _build_rootfs(data: _Data, base_of: _BaseOf) -> Rootfs:
    values = {key: value for key, value in data.items() if key not in OF_ROOTFS}
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
        {key: value for key, value in data.items() if key != "onChange"},  # is of the references
        type=("type", MountType),
        source=("source", lambda path: _absolute(path, base)),
        target=("target", lambda path: "/" + os.path.normpath(path).lstrip("/")),
        options=("options", tuple),
        size=("size_bytes", parse_size),
        lower=("lower", lambda paths: tuple(_absolute(path, base) for path in paths)),
        upper=("upper", lambda path: _absolute(path, base)),
        work=("work", lambda path: _absolute(path, base)),
        uidMappings=("uid_mappings", build_mappings),
        gidMappings=("gid_mappings", build_mappings),
        mode=("mode", lambda mode: format(int(mode, 8), "04o")),
    )
    return mount


def _build_resources(data: _Data) -> Resources:
    return Resources(
        memory=_build_memory(data.get("memory", {})),
        cpu=_build_cpu(data.get("cpu", {})),
        pids=_given(PidsLimits, data.get("pids", {}), max=("max", int)),
        io=_build_io(data.get("io", {})),
        hugetlb=tuple(
            HugetlbLimit(
                page_size_bytes=parse_size(one["pageSize"]), max_bytes=parse_size(one["max"])
            )
            for one in data.get("hugetlb", ())
        ),
        rdma=tuple(
            _given(
                RdmaLimit,
                one,
                hcaHandles=("hca_handles", None),
                hcaObjects=("hca_objects", None),
            )
            for one in sorted(data.get("rdma", ()), key=lambda one: one["device"])
        ),
        net=_given(
            NetClass,
            data.get("net", {}),
            classId=("class_id", None),
            priorities=("priorities", lambda rows: tuple(sorted(rows.items()))),
        ),
        unified=tuple(sorted((name, str(text)) for name, text in data.get("unified", {}).items())),
    )


def _build_memory(data: _Data) -> MemoryLimits:
    sizes = ("max", "high", "low", "min", "swap", "reservation")
    size = {key: (f"{key}_bytes", parse_size) for key in sizes}
    memory: MemoryLimits = _given(
        MemoryLimits,
        data,
        oomGroup=("oom_group", None),
        disableOomKiller=("disable_oom_killer", None),
        **size,
    )
    return memory


def _build_cpu(data: _Data) -> CpuLimits:
    cpu: CpuLimits = _given(
        CpuLimits,
        data,
        max=("max_milli", parse_cpu),
        burst=("burst_ns", parse_duration),
        weight=("weight", int),
        period=("period_us", _microseconds),
        realtimeRuntime=("realtime_runtime_us", _microseconds),
        realtimePeriod=("realtime_period_us", _microseconds),
        cpus=("cpus", str),
        mems=("mems", str),
    )
    return cpu


def _microseconds(text: str | int) -> int:
    return parse_duration(text) // 1000


def _build_io(data: _Data) -> IoLimits:
    throttles = [_build_device(device) for device in data.get("max", ())]
    weights = [
        _given(IoDeviceWeight, one, weight=("weight", int)) for one in data.get("weights", ())
    ]
    rows = {
        "max": tuple(sorted(throttles, key=lambda one: one.device)),
        "weights": tuple(sorted(weights, key=lambda one: one.device)),
    }
    io: IoLimits = _given(IoLimits, data | rows, weight=("weight", int))
    return io


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
        {key: value for key, value in data.items() if key not in OF_SECURITY},
        capabilities=("capabilities", _all_capabilities),
        noNewPrivileges=("no_new_privileges", None),
        seccomp=(
            "seccomp",
            lambda one: SeccompMode(one) if isinstance(one, str) else SeccompMode.DEFAULT,
        ),
    )
    return security


def _all_capabilities(given: dict[str, list[str]] | list[str]) -> tuple[str, ...]:
    """Return the names in any of the sets."""
    sets = given.values() if isinstance(given, dict) else [given]
    return tuple(sorted({name for names in sets for name in names}))


def _build_logs(data: _Data | str) -> LogLimits:
    if isinstance(data, str):
        return LogLimits(is_kept=False)
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


def _build_stop(data: _Data) -> Stop:
    grace, pre_stop = ("grace_ns", parse_duration), ("pre_stop", tuple)
    stop: Stop = _given(Stop, data, grace=grace, preStop=pre_stop)
    return stop


def _build_prune(data: _Data) -> Prune:
    prune: Prune = _given(Prune, data, mode=("mode", PruneMode), ttl=("ttl_ns", parse_duration))
    return prune


def _build_drift(data: _Data) -> Drift:
    fields = {path: DriftPolicy(policy) for path, policy in data.get("fields", {}).items()}
    return Drift(policy=DriftPolicy(data.get("policy", DriftPolicy.ENFORCE)), fields=fields)


def _build_dependencies(data: _Data) -> tuple[Dependency, ...]:
    given = {
        name: {"condition": one} if isinstance(one, str) else one for name, one in data.items()
    }
    return tuple(
        _given(Dependency, {"name": name} | one, condition=("condition", DependencyCondition))
        for name, one in sorted(given.items())
    )


def build_reaction(data: _Data | str) -> Reaction:
    """Return the reaction that an `onChange` declares."""
    if isinstance(data, str):
        return Reaction(kind=ReactionKind(data))
    if "signal" in data:
        return Reaction(kind=ReactionKind.SIGNAL, signal=data["signal"])
    return Reaction(kind=ReactionKind.EXEC, command=tuple(data["exec"]))


def _build_probe(data: _Data) -> Probe:
    probe: Probe = _given(
        Probe,
        data,
        exec=("exec", tuple),
        http=("http", lambda http: HttpCheck(**http)),
        tcp=("tcp", lambda tcp: TcpCheck(**tcp)),
        initialDelay=("initial_delay_ns", parse_duration),
        interval=("interval_ns", parse_duration),
        timeout=("timeout_ns", parse_duration),
        failureThreshold=("failure_threshold", int),
        successThreshold=("success_threshold", int),
    )
    return probe


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
