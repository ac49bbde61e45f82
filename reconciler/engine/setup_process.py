"""The set-up steps that make the process what its Config says, and those of its namespaces.

Called by `setup`. Pure but for looking at the host's kernel features.
"""

from __future__ import annotations

import base64
import os
import platform
from typing import Any

from reconciler.engine.users import Identity
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux import capabilities
from reconciler.linux.process import CloneFlag
from reconciler.model.config import Config, NetworkMode, SeccompMode
from reconciler.model.isolation import IdMapping, IoPriority, Isolation, NamespaceMode, Scheduler
from reconciler.monitor.steps import attributes, process

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

OCI_VERSION = "1.2.1"

# By name of the field in `Namespaces`. Cgroup and time are entered by steps, user by the clone.
_FLAGS = {
    "user": CloneFlag.NEWUSER,
    "pid": CloneFlag.NEWPID,
    "uts": CloneFlag.NEWUTS,
    "ipc": CloneFlag.NEWIPC,
    "network": CloneFlag.NEWNET,
    "cgroup": CloneFlag.NEWCGROUP,
    "time": CloneFlag.NEWTIME,
    "mount": CloneFlag.NEWNS,
}
_BY_CLONE = ("user", "pid", "uts", "ipc", "network", "mount")
_BY_STEP = ("user", "uts", "ipc", "network", "cgroup", "time", "mount")

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
_PERSONAS = {"LINUX": 0x0, "LINUX32": 0x8}
# Kernel parameters that belong to a namespace, and to which.
_IPC_SYSCTLS = frozenset(
    f"kernel.{name}"
    for name in (
        *("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni"),
        "shm_rmid_forced",
    )
)


def mode_of(config: Config, name: str) -> str:
    """Return `private`, `host` or a path for a namespace by its name in `Namespaces`."""
    mode: str | None = getattr(config.isolation.namespaces, name)
    if mode is None:
        return NamespaceMode.HOST if config.network is NetworkMode.HOST else NamespaceMode.PRIVATE
    return mode


def clone_flags(config: Config) -> CloneFlag:
    """Return the CLONE_NEW* of the namespaces that the init is born in."""
    flags = CloneFlag(0)
    for name in _BY_CLONE:
        if mode_of(config, name) == NamespaceMode.PRIVATE:
            flags |= _FLAGS[name]
    return flags


def all_flags(config: Config) -> CloneFlag:
    """Return the CLONE_NEW* of all namespaces that are not the host's: what an exec joins."""
    flags = CloneFlag(0)
    for name, flag in _FLAGS.items():
        if mode_of(config, name) != NamespaceMode.HOST:
            flags |= flag
    return flags


def joined_path(config: Config, name: str) -> str | None:
    """Return the path of a namespace that is joined, None when it is not."""
    mode = mode_of(config, name)
    return None if mode in tuple(NamespaceMode) else mode


def has_user_namespace(config: Config) -> bool:
    """Tell whether the container is in a user namespace that is not the host's."""
    return mode_of(config, "user") != NamespaceMode.HOST


def id_maps(config: Config) -> dict[str, str] | None:
    """Return the `uid` and `gid` maps of a user namespace of its own, as proc(5) takes them.

    Raises: ConfigInvalid.
    """
    isolation = config.isolation
    if mode_of(config, "user") != NamespaceMode.PRIVATE:
        if isolation.uid_mappings or isolation.gid_mappings:
            message = "id mappings need a user namespace of the container's own"
            raise _invalid("linux.uidMappings", message)
        return None
    maps = {"uid": isolation.uid_mappings, "gid": isolation.gid_mappings}
    for kind, mappings in maps.items():
        if not any(one.container_id == 0 for one in mappings):
            message = f"the user namespace has no {kind} mapping for its root (containerID 0)"
            raise _invalid(f"linux.{kind}Mappings", message)
    return {kind: format_map(mappings) for kind, mappings in maps.items()}


def check_mapped(config: Config, identity: Identity) -> None:
    """Refuse a user or group that the container's user namespace has no mapping for.

    Raises: ConfigInvalid.
    """
    if id_maps(config) is None:
        return
    isolation = config.isolation
    for what, number, mappings in (
        ("user", identity.uid, isolation.uid_mappings),
        ("group", identity.gid, isolation.gid_mappings),
    ):
        if not any(0 <= number - one.container_id < one.size for one in mappings):
            known = ", ".join(
                f"{one.container_id}-{one.container_id + one.size - 1}" for one in mappings
            )
            message = (
                f"the {what} {number} is not mapped in its user namespace, which has {known}; an "
                "ordinary user gets more from /etc/subuid and /etc/subgid with the package uidmap"
            )
            raise _invalid("user", message)


def format_map(mappings: tuple[IdMapping, ...]) -> str:
    """Return a map as proc(5) has it: lines of inside, outside, size."""
    return "".join(f"{one.container_id} {one.host_id} {one.size}\n" for one in mappings)


def namespace_steps(config: Config) -> list[Any]:
    """Return the steps that enter namespaces after the clone. Raises: ConfigInvalid."""
    steps: list[Any] = []
    for name in _BY_STEP:
        path = joined_path(config, name)
        if path is not None:
            _check_namespace(name, path)
            steps.append(attributes.JoinNamespace(path, int(_FLAGS[name])))
    if mode_of(config, "cgroup") == NamespaceMode.PRIVATE:
        steps.append(process.UnshareCgroup())
    if mode_of(config, "time") == NamespaceMode.PRIVATE:
        offsets = [(clock, *pair) for clock, pair in config.isolation.time_offsets.items()]
        steps.append(attributes.EnterTimeNamespace(offsets))
    elif config.isolation.time_offsets:
        raise _invalid("timeOffsets", "time offsets need a time namespace of the container's own")
    return steps


def label_steps(config: Config) -> list[Any]:
    """Return what is set of the process in the host's /proc, before the pivot."""
    steps: list[Any] = []
    if config.oom_score_adj is not None:
        steps.append(process.SetOomScore(config.oom_score_adj))
    return [*steps, *_label_steps(config.isolation)]


def parameter_steps(container_id: str, config: Config) -> list[Any]:
    """Return what is set of the namespaces, as their root and before the pivot."""
    isolation = config.isolation
    steps: list[Any] = []
    if mode_of(config, "uts") == NamespaceMode.PRIVATE:
        steps.append(process.SetHostname(config.hostname or container_id))
        if isolation.domainname is not None:
            steps.append(attributes.SetDomainname(isolation.domainname))
    if isolation.sysctl:
        _check_sysctls(config)
        values = [[name, value] for name, value in isolation.sysctl.items()]
        steps.append(attributes.WriteSysctls(values))
    return steps


def listener_steps(container_id: str, config: Config) -> list[Any]:
    """Return the step that connects to who takes seccomp's notifications, while its path is there.

    Raises: ConfigInvalid, NotSupported.
    """
    if config.isolation.seccomp is None or "SCMP_ACT_NOTIFY" not in config.isolation.seccomp:
        return []
    from reconciler.engine.seccomp_oci import compile_profile

    profile = compile_profile(config.isolation.seccomp)
    if profile.listener_path is None:
        return []
    state = {"ociVersion": OCI_VERSION, "id": container_id, "status": "creating", "bundle": ""}
    return [attributes.ConnectListener(profile.listener_path, profile.listener_metadata, state)]


def process_steps(container_id: str, config: Config, identity: Identity) -> list[Any]:
    """Return the last steps: limits, scheduling, identity, the command.

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
    if isolation.cpu_affinity[1] or isolation.cpu_affinity[0]:
        steps.append(_affinity(isolation.cpu_affinity[1] or isolation.cpu_affinity[0] or ""))
    steps += _limit_steps(config)
    return [
        *steps,
        _confine(config, identity),
        process.ChangeDirectory(config.workdir),
        process.Execute(list(config.command), environment(container_id, config, identity)),
    ]


def environment(container_id: str, config: Config, identity: Identity) -> dict[str, str]:
    """Return the environment of the command."""
    given = config.isolation.environment
    if given is not None:
        pairs = (item.partition("=") for item in given)
        found = {name: value for name, _, value in pairs if name}
        found.setdefault("HOME", identity.home)
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
    if "MKNOD" in config.security.capabilities:
        raise _unsupported(
            "security.capabilities",
            "the capability MKNOD is refused: without control over devices it opens the host's "
            "disks; bind mount the device that is needed instead",
        )
    mask = _mask(config.security.capabilities)
    ambient = mask if identity.uid else 0
    return [mask, mask, ambient, mask, ambient]


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
        return base64.b64encode(profile.program).decode(), profile.flags
    if config.security.seccomp is SeccompMode.UNCONFINED:
        return "", 0
    from reconciler.engine.seccomp_profile import default_filter

    program = default_filter(frozenset(config.security.capabilities), platform.machine())
    return base64.b64encode(program).decode(), 0


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
    cpus: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            message = f"'{text}' is no list of CPUs (example: 0-3,8)"
            raise _invalid("process.execCPUAffinity", message)
        cpus.update(range(int(first), int(last or first) + 1))
    return attributes.SetAffinity(sorted(cpus))


def _persona(name: str) -> int:
    if name not in _PERSONAS:
        raise _invalid("linux.personality", f"'{name}' is no execution domain: LINUX or LINUX32")
    return _PERSONAS[name]


def _label_steps(isolation: Isolation) -> list[Any]:
    """Return the steps for labels of security modules. Raises: NotSupported without the module."""
    steps: list[Any] = []
    if isolation.apparmor_profile:
        if not os.path.isdir("/sys/kernel/security/apparmor"):
            message = "this host has no AppArmor (or securityfs is not mounted); leave it out"
            raise _unsupported("process.apparmorProfile", message)
        path = "/proc/self/attr/apparmor/exec"
        steps.append(attributes.SetLabel(path, f"exec {isolation.apparmor_profile}"))
    if isolation.selinux_label or isolation.mount_label:
        if not os.path.isdir("/sys/fs/selinux"):
            raise _unsupported("process.selinuxLabel", "this host has no SELinux; leave it out")
        if isolation.selinux_label:
            steps.append(attributes.SetLabel("/proc/self/attr/exec", isolation.selinux_label))
    return steps


def _check_namespace(name: str, path: str) -> None:
    if not os.path.exists(path):
        raise _invalid(f"namespaces.{name}", f"the namespace {path} does not exist")


def _check_sysctls(config: Config) -> None:
    """Refuse parameters that are not of a namespace of the container's own."""
    for name in config.isolation.sysctl:
        owner = _owner_of(name)
        if owner is None:
            message = f"the kernel parameter {name} is not of a namespace: it is the whole host's"
            raise _invalid(f"sysctl.{name}", message)
        if mode_of(config, owner) == NamespaceMode.HOST:
            message = f"{name} needs a {owner} namespace of the container's own"
            raise _invalid(f"sysctl.{name}", message)


def _owner_of(name: str) -> str | None:
    """Return the namespace that a kernel parameter belongs to, None for the host's."""
    if any(part in ("", "..") for part in name.replace(".", "/").split("/")):
        return None
    if name.startswith("net."):
        return "network"
    if name in _IPC_SYSCTLS or name.startswith("fs.mqueue."):
        return "ipc"
    return "uts" if name == "kernel.domainname" else None


def _invalid(field: str, message: str) -> ReconcilerError:
    return ReconcilerError(ErrorCode.ConfigInvalid, message, field=field)


def _unsupported(field: str, message: str) -> ReconcilerError:
    return ReconcilerError(ErrorCode.NotSupported, message, field=field)
