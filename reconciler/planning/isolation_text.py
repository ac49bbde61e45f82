"""Fields of isolation as a spec file says them; called by `fields`. Pure functions."""

from __future__ import annotations

from reconciler.model.isolation import Device, Hook, IoPriority, MemoryPolicy, Scheduler
from reconciler.model.quantity import format_duration
from reconciler.model.spec import Spec
from reconciler.model.value import Value
from reconciler.planning.probe_text import spell_digest


def spell_scheduler(one: Scheduler) -> Value:
    """Return `BATCH nice=10` or `DEADLINE runtime=5ms deadline=20ms`, a file's fields."""
    times = (("runtime", one.runtime_ns), ("deadline", one.deadline_ns), ("period", one.period_ns))
    told = [one.policy.removeprefix("SCHED_")]
    told += [
        f"{name}={value}"
        for name, value in (("nice", one.nice), ("priority", one.priority))
        if value is not None
    ]
    told += [f"{name}={format_duration(value)}" for name, value in times if value is not None]
    return " ".join([*told, *_spell_flags(one.flags, "SCHED_FLAG_")])


def spell_io_priority(one: IoPriority) -> Value:
    """Return `BE priority=4`."""
    return f"{one.io_class.removeprefix('IOPRIO_CLASS_')} priority={one.priority}"


def spell_memory_policy(one: MemoryPolicy) -> Value:
    """Return `BIND nodes=0-1 flags=STATIC_NODES`."""
    nodes = () if one.nodes is None else (f"nodes={one.nodes}",)
    return " ".join((one.mode.removeprefix("MPOL_"), *nodes, *_spell_flags(one.flags, "MPOL_F_")))


def _spell_flags(flags: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    return (f"flags={','.join(one.removeprefix(prefix) for one in flags)}",) if flags else ()


def spell_us(us: int) -> Value:
    """Return microseconds as a duration."""
    return format_duration(us * 1000)


def exec_affinity(spec: Spec) -> str | None:
    """Return the CPUs of further processes."""
    return spec.config.isolation.cpu_affinity[1]


def time_offsets(spec: Spec) -> dict[str, str]:
    """Return the offsets by clock, as a file has them: `24h`, `-30s`."""
    return {
        clock: _spell_offset(seconds * 10**9 + nanoseconds)
        for clock, (seconds, nanoseconds) in spec.config.isolation.time_offsets.items()
    }


def _spell_offset(offset_ns: int) -> str:
    return ("-" if offset_ns < 0 else "") + format_duration(abs(offset_ns))


def spell_hooks(hooks: tuple[Hook, ...]) -> Value:
    """Return `/usr/local/bin/net-up --bridge br0 timeout=10s` for each; an environment hidden."""
    return tuple(map(_spell_hook, hooks))


def _spell_hook(hook: Hook) -> str:
    told = [hook.path, *hook.args[1:]]
    if hook.timeout_s is not None:
        told.append(f"timeout={format_duration(round(hook.timeout_s * 1e9))}")
    told += [f"env={spell_digest(chr(0).join(hook.env))}"] if hook.env else []
    return " ".join(told)


def spell_devices(devices: tuple[Device, ...]) -> Value:
    """Return `/dev/fuse rw` or `/dev/x c 10:229 rw mode=0660 uid=0 gid=0` for each."""
    return tuple(map(_spell_device, devices))


def _spell_device(one: Device) -> str:
    told = [one.path, *((f"{one.type} {one.major}:{one.minor}",) if one.type else ())]
    told += [one.access] if one.access else []
    if (one.mode, one.uid, one.gid) != (0o666, 0, 0):
        told.append(f"mode={one.mode:04o} uid={one.uid} gid={one.gid}")
    return " ".join(told)
