"""The set-up steps that make the process what its Config says.

Called by `setup`. Pure but for looking at the host's kernel features.
"""

from __future__ import annotations

import binascii
import os

from reconciler.engine.users import Identity
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any, json
from reconciler.linux import capabilities
from reconciler.model.config import Config, SeccompMode
from reconciler.model.isolation import IoPriority, Isolation, MemoryPolicy, Scheduler
from reconciler.model.record import Record
from reconciler.monitor.steps import attributes, process

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

OCI_VERSION = "1.2.1"


_POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
_SCHED_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
_IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
# linux/mempolicy.h
MEMORY_MODES = {
    name: number
    for number, name in enumerate(
        f"MPOL_{name}"
        for name in (
            *("DEFAULT", "PREFERRED", "BIND", "INTERLEAVE", "LOCAL", "PREFERRED_MANY"),
            "WEIGHTED_INTERLEAVE",
        )
    )
}
MEMORY_FLAGS = {
    "MPOL_F_STATIC_NODES": 1 << 15,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_NUMA_BALANCING": 1 << 13,
}
_NUMBER_MAX = 8191  # of CPUs; of nodes there are fewer
_PERSONAS = {"LINUX": 0x0, "LINUX32": 0x8}


def label_steps(config: Config) -> list[Any]:
    """Return what is set of the process in the host's /proc, before the pivot."""
    steps: list[Any] = []
    if config.oom_score_adj is not None:
        steps.append(process.SetOomScore(config.oom_score_adj))
    return [*steps, *_label_steps(config.isolation)]


def listener_steps(record: Record, config: Config) -> list[Any]:
    """Return the step that connects to who takes seccomp's notifications, while its path is there.

    `config` is that of the process. What goes along is the specification's state of the container.

    Raises: ConfigInvalid, NotSupported.
    """
    if config.isolation.seccomp is None or "SCMP_ACT_NOTIFY" not in config.isolation.seccomp:
        return []
    from reconciler.engine.seccomp_oci import compile_profile

    profile = compile_profile(config.isolation.seccomp)
    if profile.listener_path is None:
        return []
    notes, init = record.annotations, record.init
    state = {
        "ociVersion": notes.get("oci.version", OCI_VERSION),
        "id": record.id,
        "status": "creating" if init is None else "running",
        "pid": 0 if init is None else init.pid,
        "bundle": notes.get("oci.bundle", ""),
        "annotations": json.loads(notes.get("oci.annotations", "{}")),
    }
    return [attributes.ConnectListener(profile.listener_path, profile.listener_metadata, state)]


def process_steps(
    container_id: str, config: Config, identity: Identity, *, is_further: bool = False
) -> list[Any]:
    """Return the last steps: limits, scheduling, identity, the command.

    A process that `is_further` than the init has a CPU affinity of its own (execCPUAffinity).

    Raises: NotSupported, ConfigInvalid.
    """
    isolation = config.isolation
    steps: list[Any] = []
    if isolation.personality is not None:
        steps.append(attributes.SetPersonality(_persona(isolation.personality)))
    if isolation.scheduler is not None:
        steps.append(_scheduling(isolation.scheduler))
    if isolation.io_priority is not None:
        steps.append(_io_priority(isolation.io_priority))
    if isolation.memory_policy is not None:
        steps.append(_memory_policy(isolation.memory_policy))
    affinity = isolation.init_affinity
    if is_further:
        affinity = isolation.cpu_affinity[1] or isolation.cpu_affinity[0]
    if affinity:
        steps.append(_affinity(affinity))
    steps += _limit_steps(config)
    return [
        *steps,
        process.ChangeDirectory(config.workdir),
        _confine(config, identity),
        process.Execute(list(config.command), environment(container_id, config, identity)),
    ]


def environment(container_id: str, config: Config, identity: Identity) -> dict[str, str]:
    """Return the environment of the command."""
    given = config.isolation.environment
    if given is not None:
        pairs = (item.partition("=") for item in given)
        found = {name: value for name, _, value in pairs if name}
        if not found.get("HOME"):  # what is empty counts as not given, for every other runtime
            found["HOME"] = identity.home
        return found
    hostname = config.hostname or container_id
    return {"PATH": DEFAULT_PATH, "HOME": identity.home, "HOSTNAME": hostname} | config.env


def _limit_steps(config: Config) -> list[Any]:
    if not config.rlimits:
        return []
    limits = [
        [item.type, *(-1 if value is None else value for value in (item.soft, item.hard))]
        for item in config.rlimits
    ]
    return [process.SetRlimits(limits)]


def _confine(config: Config, identity: Identity) -> process.Confine:
    umask = config.isolation.umask
    return process.Confine(
        identity.uid,
        identity.gid,
        list(identity.groups) if _may_set_groups(config) else None,
        _capability_masks(config, identity),
        config.security.no_new_privileges,
        *_seccomp_filter(config),
        0o022 if umask is None else umask,
    )


def _may_set_groups(config: Config) -> bool:
    """Tell whether setgroups(2) is allowed: to an ordinary user's own mapping it never is."""
    return os.geteuid() == 0 or len(config.isolation.gid_mappings) > 1


def _capability_masks(config: Config, identity: Identity) -> list[int]:
    """Return the five sets as bit masks, in the order of `CapabilitySets`.

    They go into the bounding, permitted and effective sets, and for a user other than root into
    the ambient set as well, without which execve(2) would drop them (capabilities(7)); never
    into root's inheritable set (CVE-2022-29162).
    """
    given = config.isolation.capabilities
    if given is not None:
        names = (
            given.effective,
            given.permitted,
            given.inheritable,
            given.bounding,
            given.ambient,
        )
        return [_mask(one) for one in names]
    mask = _mask(config.security.capabilities)
    ambient = mask if identity.uid else 0
    return [mask, mask, ambient, mask, ambient]


def may_trace(*configs: Config) -> bool:
    """Tell whether a process with one of the Configs may trace others that are not its own."""
    names: set[str] = set()
    for config in configs:
        given = config.isolation.capabilities
        if given is None:
            names.update(config.security.capabilities)
        else:
            names.update(given.effective, given.permitted, given.bounding, given.ambient)
    return "SYS_PTRACE" in names


def _mask(names: tuple[str, ...]) -> int:
    """Return the bit mask. Raises: NotSupported for what this kernel does not know."""
    for name in names:
        if capabilities.NUMBERS.get(name, 64) > capabilities.last_cap():
            message = f"this kernel does not know the capability {name}"
            raise _unsupported("security.capabilities", message)
    return capabilities.mask_of(names)


def _seccomp_filter(config: Config) -> tuple[str, int]:
    """Return the filter, compiled, as base64 (empty for none), and its flags."""
    if config.isolation.seccomp is not None:
        from reconciler.engine.seccomp_oci import compile_profile

        profile = compile_profile(config.isolation.seccomp)
        return _encode(profile.program), profile.flags
    if config.security.seccomp is SeccompMode.UNCONFINED:
        return "", 0
    from reconciler.engine.seccomp_profile import default_filter

    program = default_filter(frozenset(config.security.capabilities), os.uname().machine)
    return _encode(program), 0


def _scheduling(one: Scheduler) -> attributes.SetScheduling:
    if one.policy not in _POLICIES:
        raise _invalid("process.scheduler.policy", f"'{one.policy}' is no scheduling policy")
    flags = 0
    for name in one.flags:
        if name not in _SCHED_FLAGS:
            raise _invalid("process.scheduler.flags", f"'{name}' is no flag of the scheduler")
        flags |= _SCHED_FLAGS[name]
    times = [one.runtime_ns or 0, one.deadline_ns or 0, one.period_ns or 0]
    return attributes.SetScheduling(
        _POLICIES[one.policy], flags, one.nice or 0, one.priority or 0, times
    )


def _io_priority(one: IoPriority) -> attributes.SetIoPriority:
    if one.io_class not in _IO_CLASSES:
        raise _invalid("process.ioPriority.class", f"'{one.io_class}' is no I/O class")
    return attributes.SetIoPriority(_IO_CLASSES[one.io_class], one.priority)


def _affinity(text: str) -> attributes.SetAffinity:
    cpus = numbers_of(text)
    if cpus is None:
        message = f"'{text}' is no list of CPUs (example: 0-3,8)"
        raise _invalid("process.execCPUAffinity", message)
    return attributes.SetAffinity(cpus)


def _memory_policy(one: MemoryPolicy) -> attributes.SetMemoryPolicy:
    field = "linux.memoryPolicy"
    if one.mode not in MEMORY_MODES:
        raise _invalid(f"{field}.mode", f"'{one.mode}' is an invalid memory policy mode")
    mode = MEMORY_MODES[one.mode]
    for name in one.flags:
        if name not in MEMORY_FLAGS:
            raise _invalid(f"{field}.flags", f"'{name}' is an invalid memory policy flag")
        mode |= MEMORY_FLAGS[name]
    nodes = numbers_of(one.nodes) if one.nodes else []
    if nodes is None:
        message = f"'{one.nodes}' has an invalid memory policy node (example: 0-1,3)"
        raise _invalid(f"{field}.nodes", message)
    return attributes.SetMemoryPolicy(mode, nodes)


def numbers_of(text: str) -> list[int] | None:
    """Return the numbers of a list such as 0-3,8; None when it is none, or has too high ones."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        last = last or first
        if not first.isdecimal() or not last.isdecimal() or int(last) > _NUMBER_MAX:
            return None
        numbers.update(range(int(first), int(last) + 1))
    return sorted(numbers)


def _persona(name: str) -> int:
    if name not in _PERSONAS:
        raise _invalid("linux.personality", f"'{name}' is no execution domain: LINUX or LINUX32")
    return _PERSONAS[name]


def has_apparmor() -> bool:
    """Tell whether this host has AppArmor, and securityfs is mounted."""
    return os.path.isdir("/sys/kernel/security/apparmor")


def has_selinux() -> bool:
    """Tell whether this host has SELinux."""
    return os.path.isdir("/sys/fs/selinux")


def _label_steps(isolation: Isolation) -> list[Any]:
    """Return the steps for labels of security modules. Raises: NotSupported without the module."""
    steps: list[Any] = []
    if isolation.apparmor_profile:
        if not has_apparmor():
            message = "this host has no AppArmor (or securityfs is not mounted); leave it out"
            raise _unsupported("process.apparmorProfile", message)
        path = "/proc/self/attr/apparmor/exec"
        steps.append(attributes.SetLabel(path, f"exec {isolation.apparmor_profile}"))
    if isolation.selinux_label or isolation.mount_label:
        if not has_selinux():
            raise _unsupported("process.selinuxLabel", "this host has no SELinux; leave it out")
        if isolation.selinux_label:
            steps.append(attributes.SetLabel("/proc/self/attr/exec", isolation.selinux_label))
    return steps


def _invalid(field: str, message: str) -> ReconcilerError:
    return ReconcilerError(ErrorCode.ConfigInvalid, message, field=field)


def _unsupported(field: str, message: str) -> ReconcilerError:
    return ReconcilerError(ErrorCode.NotSupported, message, field=field)


def _encode(program: bytes) -> str:
    return binascii.b2a_base64(program, newline=False).decode()
