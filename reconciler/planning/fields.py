"""The one table of every field of a spec: how it is observed, and what a change of it needs.

Used by diff alone. A test holds it equal to the fields of `Spec` and of the JSON Schema, so
that no field can be added without saying here what becomes of its changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from reconciler.lean import Enum, StrEnum
from reconciler.model.action import ChangeClass
from reconciler.model.codec import to_compact
from reconciler.model.config import IoDeviceLimits
from reconciler.model.frozen import fields, is_frozen, replace
from reconciler.model.isolation import Hooks, IdMapping, Isolation, Namespaces
from reconciler.model.quantity import format_cpu, format_duration, format_size
from reconciler.model.spec import Dependency, Spec, Suspend
from reconciler.model.value import Value
from reconciler.planning.isolation_text import (
    exec_affinity,
    spell_devices,
    spell_hooks,
    spell_io_priority,
    spell_memory_policy,
    spell_scheduler,
    spell_us,
    time_offsets,
)
from reconciler.planning.probe_text import spell_digest, spell_probe


class ObservedBy(StrEnum):
    """Where the observed side of a field comes from.

    kernel: the cgroup or the run state, while the container has processes. record: the spec
    that the container was last made equal to. process: the record, and for more than the spec
    gives the init itself (process.py).
    """

    KERNEL = "kernel"
    RECORD = "record"
    PROCESS = "process"


class Field(NamedTuple):
    """One row: path in a spec file, attribute path in `Spec`, and what this file is about.

    `spell` turns the model's value into what a spec file would say. A field whose value is a
    mapping is compared key by key, as `env.PORT`.
    """

    path: str
    attribute: str
    observed_by: ObservedBy
    change_class: ChangeClass
    spell: Callable[[Any], Value]
    get: Callable[[Spec], Any]

    def values(self, left: Spec, right: Spec) -> Iterator[tuple[str, Value, Value]]:
        """Yield (path, left value, right value), both spelled, for each key of a mapping."""
        one, other = self.get(left), self.get(right)
        if not isinstance(one, Mapping):
            yield self.path, self.spell_or_none(one), self.spell_or_none(other)
            return
        for key in sorted(one.keys() | other.keys()):
            yield f"{self.path}.{key}", one.get(key), other.get(key)

    def spell_or_none(self, value: Any) -> Value:  # noqa: ANN401  (any field's value)
        """Return the spelled value; None, which is "not set", stays None."""
        return None if value is None else self.spell(value)


def spell_plain(value: Any) -> Value:  # noqa: ANN401  (any field's value)
    """Return strings, numbers and tuples as they are, and `key=value ...` for an object.

    Every field of an object is spelled, so that none can differ without being seen.
    """
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return tuple(map(spell_plain, value))
    if is_frozen(value):
        pairs = ((item.name, getattr(value, item.name)) for item in fields(value))
        return " ".join(
            f"{name}={_spell_inner(inner)}" for name, inner in pairs if inner not in (None, ())
        )
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"internal error: cannot spell {value!r:.100}")


def _spell_inner(value: Any) -> str:  # noqa: ANN401  (any field's value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={item}" for key, item in value.items())
    if is_frozen(value):
        return f"{{{spell_plain(value)}}}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(spell_plain(value))


def spell_io(throttles: tuple[Any, ...]) -> Value:
    """Return `device=254:0 read_bytes=1048576`, for the model's throttles and the kernel's rows."""
    return spell_plain(tuple(_throttle(one) for one in throttles))


def _throttle(one: Any) -> IoDeviceLimits:  # noqa: ANN401  (either form)
    if isinstance(one, IoDeviceLimits):
        return one
    device, read_bytes, write_bytes, read_ops, write_ops = one
    return IoDeviceLimits(
        device=device,
        read_bytes=read_bytes,
        write_bytes=write_bytes,
        read_ops=read_ops,
        write_ops=write_ops,
    )


def _spell_weights(weights: tuple[Any, ...]) -> Value:
    """Return `254:0=200`, for the model's weights and the kernel's rows."""
    rows = ((one.device, one.weight) if is_frozen(one) else one for one in weights)
    return tuple(f"{device}={weight}" for device, weight in rows)


def _spell_hugetlb(limits: tuple[Any, ...]) -> Value:
    """Return `2Mi=64Mi`, for the model's limits and the kernel's rows."""
    rows = ((one.page_size_bytes, one.max_bytes) if is_frozen(one) else one for one in limits)
    return tuple(f"{format_size(size)}={format_size(most)}" for size, most in rows)


def _spell_files(files: tuple[tuple[str, str], ...]) -> Value:
    return tuple(f"{name}={content}" for name, content in files)


def _spell_isolation(isolation: Isolation) -> Value:
    return json.dumps(to_compact(isolation), sort_keys=True)


def _rest_of_isolation(spec: Spec) -> Isolation:
    """Return what has no row of its own: for users of the engine alone."""
    return replace(spec.config.isolation, **dict.fromkeys(ISOLATION_ROWS), **_NO_ROWS)


def _spell_mappings(mappings: tuple[IdMapping, ...]) -> Value:
    return tuple(f"{one.container_id}:{one.host_id}:{one.size}" for one in mappings)


def _spell_mask(mask: int) -> Value:
    return format(mask, "04o")


def _spell_dependencies(dependencies: tuple[Dependency, ...]) -> Value:
    return tuple(
        f"{one.name} {one.condition}" + (" restart" if one.restart else "") for one in dependencies
    )


def _spell_logs(is_kept: bool) -> Value:
    return "kept" if is_kept else "none"


def _user_of(spec: Spec) -> str:
    return spec.config.user_or_default()


def _row(
    path: str,
    attribute: str,
    change_class: ChangeClass,
    spell: Callable[[Any], Value] = spell_plain,
    get: Callable[[Spec], Any] | None = None,
) -> Field:
    getter = get or attrgetter(attribute)
    return Field(path, attribute, ObservedBy.RECORD, change_class, spell, getter)


def _kernel(path: str, attribute: str, spell: Callable[[Any], Value] = spell_plain) -> Field:
    getter = attrgetter(attribute)
    return Field(path, attribute, ObservedBy.KERNEL, ChangeClass.LIVE, spell, getter)


def _process(
    path: str,
    attribute: str,
    spell: Callable[[Any], Value] = spell_plain,
    get: Callable[[Spec], Any] | None = None,
    change_class: ChangeClass = ChangeClass.RESTART,
) -> Field:
    getter = get or attrgetter(attribute)
    return Field(path, attribute, ObservedBy.PROCESS, change_class, spell, getter)


# Fields of Isolation with a row of their own, and what stands for "not set" where None does not.
ISOLATION_ROWS = (
    *("domainname", "umask", "scheduler", "io_priority", "masked_paths", "readonly_paths"),
    *("apparmor_profile", "selinux_label", "seccomp", "init_affinity", "personality"),
    *("memory_policy", "rootfs_propagation", "capabilities"),
)
_NO_ROWS: dict[str, Any] = {
    "time_offsets": {},
    "cpu_affinity": (None, None),
    "net_devices": {},
    "devices": (),
    "no_pivot": False,
    "annotations": {},
    "hooks": Hooks(),
    "namespaces": Namespaces(),
    "sysctl": {},
    "uid_mappings": (),
    "gid_mappings": (),
}

_RECORD, _RESTART, _RECREATE = ChangeClass.RECORD, ChangeClass.RESTART, ChangeClass.RECREATE

# Every start makes namespaces, mounts and the process anew, so that a restart is enough for
# all but the root file system (its overlay belongs to the container) and the kind.
FIELDS: tuple[Field, ...] = (
    _row("kind", "kind", _RECREATE),
    _row("rootfs.path", "config.rootfs.path", _RECREATE),
    _process("rootfs.readonly", "config.rootfs.readonly", change_class=_RECREATE),
    _row("rootfs.overlay", "config.rootfs.overlay", _RECREATE),
    _row("rootfs.noPivot", "config.isolation.no_pivot", _RESTART),
    _row("rootfs.propagation", "config.isolation.rootfs_propagation", _RESTART),
    _row("command", "config.command", _RESTART),
    _row("env", "config.env", _RESTART),
    _row("workdir", "config.workdir", _RESTART),
    _process("user", "config.user", get=_user_of),
    _process("groups", "config.groups"),
    _process("hostname", "config.hostname"),
    _process("mounts", "config.mounts"),
    _process("network", "config.network"),
    _process("security.capabilities", "config.security.capabilities"),
    _row("security.capabilities.sets", "config.isolation.capabilities", _RESTART),
    _process("security.noNewPrivileges", "config.security.no_new_privileges"),
    _process("security.seccomp", "config.security.seccomp"),
    _process("rlimits", "config.rlimits"),
    _process("oomScoreAdj", "config.oom_score_adj"),
    _process("domainname", "config.isolation.domainname"),
    _process("namespaces.pid", "config.isolation.namespaces.pid"),
    _process("namespaces.ipc", "config.isolation.namespaces.ipc"),
    _process("namespaces.uts", "config.isolation.namespaces.uts"),
    _process("namespaces.cgroup", "config.isolation.namespaces.cgroup"),
    _process("namespaces.user", "config.isolation.namespaces.user"),
    _process("namespaces.network", "config.isolation.namespaces.network"),
    _process("uidMappings", "config.isolation.uid_mappings", _spell_mappings),
    _process("gidMappings", "config.isolation.gid_mappings", _spell_mappings),
    _process("namespaces.time", "config.isolation.namespaces.time"),
    _row("timeOffsets", "config.isolation.time_offsets", _RESTART, get=time_offsets),
    _process("sysctl", "config.isolation.sysctl"),
    _row("umask", "config.isolation.umask", _RESTART, _spell_mask),
    _process("scheduler", "config.isolation.scheduler", spell_scheduler),
    _process("ioPriority", "config.isolation.io_priority", spell_io_priority),
    _row("cpuAffinity.init", "config.isolation.init_affinity", _RESTART),
    _row("cpuAffinity.exec", "config.isolation.cpu_affinity", _RESTART, get=exec_affinity),
    _row("personality", "config.isolation.personality", _RESTART),
    _row("memoryPolicy", "config.isolation.memory_policy", _RESTART, spell_memory_policy),
    _row("hooks.prestart", "config.isolation.hooks.prestart", _RESTART, spell_hooks),
    _row("hooks.createRuntime", "config.isolation.hooks.create_runtime", _RESTART, spell_hooks),
    _row("hooks.createContainer", "config.isolation.hooks.create_container", _RESTART, spell_hooks),
    _row("hooks.startContainer", "config.isolation.hooks.start_container", _RESTART, spell_hooks),
    _row("hooks.poststart", "config.isolation.hooks.poststart", _RESTART, spell_hooks),
    _row("hooks.poststop", "config.isolation.hooks.poststop", _RESTART, spell_hooks),
    _row("annotations", "config.isolation.annotations", _RESTART),
    _row("devices", "config.isolation.devices", _RESTART, spell_devices),
    _row("netDevices", "config.isolation.net_devices", _RESTART),
    _process("maskedPaths", "config.isolation.masked_paths"),
    _process("readonlyPaths", "config.isolation.readonly_paths"),
    _row("security.seccomp.profile", "config.isolation.seccomp", _RESTART, spell_digest),
    _process("security.apparmorProfile", "config.isolation.apparmor_profile"),
    _process("security.selinuxLabel", "config.isolation.selinux_label"),
    _row("isolation", "config.isolation", _RESTART, _spell_isolation, _rest_of_isolation),
    # For users of the engine alone, as is the rest of isolation.
    _process("namespaces.mount", "config.isolation.namespaces.mount"),
    _row("logs", "config.logs.is_kept", _RESTART, _spell_logs),
    _row("logs.maxSize", "config.logs.max_size_bytes", _RESTART, format_size),
    _row("logs.maxFiles", "config.logs.max_files", _RESTART),
    _kernel("resources.memory.max", "config.resources.memory.max_bytes", format_size),
    _kernel("resources.memory.high", "config.resources.memory.high_bytes", format_size),
    _kernel("resources.memory.low", "config.resources.memory.low_bytes", format_size),
    _kernel("resources.memory.min", "config.resources.memory.min_bytes", format_size),
    _kernel("resources.memory.oomGroup", "config.resources.memory.oom_group"),
    _kernel("resources.memory.swap", "config.resources.memory.swap_bytes", format_size),
    _kernel("resources.cpu.max", "config.resources.cpu.max_milli", format_cpu),
    _kernel("resources.cpu.burst", "config.resources.cpu.burst_ns", format_duration),
    _kernel("resources.cpu.idle", "config.resources.cpu.idle"),
    _kernel("resources.cpu.weight", "config.resources.cpu.weight"),
    _kernel("resources.cpu.cpus", "config.resources.cpu.cpus"),
    _kernel("resources.cpu.realtimeRuntime", "config.resources.cpu.realtime_runtime_us", spell_us),
    _kernel("resources.cpu.realtimePeriod", "config.resources.cpu.realtime_period_us", spell_us),
    _kernel("resources.cpu.mems", "config.resources.cpu.mems"),
    _kernel("resources.pids.max", "config.resources.pids.max"),
    _kernel("resources.io.weight", "config.resources.io.weight"),
    _kernel("resources.io.weights", "config.resources.io.weights", _spell_weights),
    _kernel("resources.io.max", "config.resources.io.max", spell_io),
    _kernel("resources.hugetlb", "config.resources.hugetlb", _spell_hugetlb),
    _kernel(
        "resources.memory.reservation", "config.resources.memory.reservation_bytes", format_size
    ),
    _kernel("resources.memory.swappiness", "config.resources.memory.swappiness"),
    _kernel("resources.memory.disableOomKiller", "config.resources.memory.disable_oom_killer"),
    _kernel("resources.cpu.period", "config.resources.cpu.period_us", spell_us),
    _kernel("resources.rdma", "config.resources.rdma"),
    _kernel("resources.net.classId", "config.resources.net.class_id"),
    _kernel("resources.net.priorities", "config.resources.net.priorities"),
    _kernel("resources.unified", "config.resources.unified", _spell_files),
    # For users of the engine alone: a spec file has none of these.
    _kernel("resources.cpu.quota", "config.resources.cpu.quota_us"),
    _kernel("resources.cpu.shares", "config.resources.cpu.shares"),
    _kernel("resources.io.blkioWeight", "config.resources.io.blkio_weight"),
    _kernel("resources.io.blkioWeights", "config.resources.io.blkio_weights", _spell_weights),
    _kernel("state", "state"),
    _row("labels", "labels", _RECORD),
    _row("restart.policy", "restart.policy", _RECORD),
    _row("restart.backoff.initial", "restart.backoff.initial_ns", _RECORD, format_duration),
    _row("restart.backoff.factor", "restart.backoff.factor", _RECORD),
    _row("restart.backoff.max", "restart.backoff.max_ns", _RECORD, format_duration),
    _row("restart.backoff.jitter", "restart.backoff.jitter", _RECORD),
    _row("restart.resetAfter", "restart.reset_after_ns", _RECORD, format_duration),
    _row("restart.maxAttempts", "restart.max_attempts", _RECORD),
    _row("restart.permanentExitCodes", "restart.permanent_exit_codes", _RECORD),
    _row("deadline", "deadline_ns", _RECORD, format_duration),
    _row("stop.signal", "stop.signal", _RECORD),
    _row("stop.grace", "stop.grace_ns", _RECORD, format_duration),
    _row("stop.preStop", "stop.pre_stop", _RECORD),
    _row("suspend", "suspend", _RECORD, Suspend.describe),
    _row("prune.mode", "prune.mode", _RECORD),
    _row("prune.ttl", "prune.ttl_ns", _RECORD, format_duration),
    _row("drift.policy", "drift.policy", _RECORD),
    _row("drift.fields", "drift.fields", _RECORD),
    _row("enforcement", "enforcement", _RECORD),
    _row("dependsOn", "depends_on", _RECORD, _spell_dependencies),
    _row("references", "references", _RECORD),
    _row("probes.startup", "probes.startup", _RECORD, spell_probe),
    _row("probes.readiness", "probes.readiness", _RECORD, spell_probe),
    _row("probes.liveness", "probes.liveness", _RECORD, spell_probe),
    _row("source", "origin.file", _RECORD),
)
