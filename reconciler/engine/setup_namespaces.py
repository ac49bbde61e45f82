"""The set-up steps of namespaces: which are made, joined or shared, and what is set in them.

Called by `setup` and `listed_mounts`. Looks at no more than whether a path exists. Sources:
namespaces(7), user_namespaces(7), runtime-spec config-linux.md.
"""

from __future__ import annotations

import os

from reconciler.engine.namespaces import dotted_name, joined_path, mode_of, owner_of
from reconciler.engine.users import Identity
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any
from reconciler.linux.process import CloneFlag
from reconciler.model.config import Config
from reconciler.model.isolation import IdMapping, NamespaceMode
from reconciler.monitor.steps import attributes, process

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

_BY_STEP = ("uts", "ipc", "network", "cgroup", "time", "mount")


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


def joins_of_clone(config: Config) -> list[tuple[str, int]]:
    """Return the namespaces, as path and flag, that the init is to be born in.

    That is one of pids; with a user namespace that is joined all of them, that one last.

    Raises: ConfigInvalid when a path does not exist.
    """
    is_user_joined = joined_path(config, "user") is not None
    names = (*_BY_STEP, "pid", "user") if is_user_joined else ("pid",)
    joins = []
    for name in names:
        path = joined_path(config, name)
        if path is not None:
            _check_namespace(name, path)
            joins.append((path, int(_FLAGS[name])))
    return joins


def has_user_namespace(config: Config) -> bool:
    """Tell whether the container is in a user namespace that is not the host's."""
    return mode_of(config, "user") != NamespaceMode.HOST


def id_maps(config: Config) -> dict[str, str] | None:
    """Return the `uid` and `gid` maps of a user namespace of its own, as proc(5) takes them.

    Raises: ConfigInvalid.
    """
    maps = known_maps(config)
    if mode_of(config, "user") != NamespaceMode.PRIVATE:
        return None
    for kind in ("uid", "gid"):
        if maps is None or not maps[kind]:
            message = f"the user namespace has no {kind} mappings"
            raise _invalid(f"linux.{kind}Mappings", message)
    return maps


def known_maps(config: Config) -> dict[str, str] | None:
    """Return the `uid` and `gid` maps of its user namespace, also of one that is joined, if given.

    Raises: ConfigInvalid.
    """
    isolation = config.isolation
    maps = {"uid": isolation.uid_mappings, "gid": isolation.gid_mappings}
    if not any(maps.values()):
        return None
    if mode_of(config, "user") == NamespaceMode.HOST:
        raise _invalid("linux.uidMappings", "id mappings need a user namespace")
    for kind, mappings in maps.items():
        if any(one.size < 1 for one in mappings):
            raise _invalid(f"linux.{kind}Mappings", "the size of an id mapping must be 1 or more")
    return {kind: format_map(mappings) for kind, mappings in maps.items()}


def first_ids(config: Config) -> tuple[int, int]:
    """Return the user and group that set up the container in its user namespace: 0 if it has it."""
    found = []
    for mappings in (config.isolation.uid_mappings, config.isolation.gid_mappings):
        firsts = [one.container_id for one in mappings]
        found.append(0 if 0 in firsts or not firsts else firsts[0])
    return found[0], found[1]


def host_ids(config: Config) -> tuple[int, int]:
    """Return the user and group of the host that `first_ids` are."""
    isolation = config.isolation
    found = []
    for first, mappings in zip(
        first_ids(config), (isolation.uid_mappings, isolation.gid_mappings), strict=True
    ):
        rows = (one for one in mappings if 0 <= first - one.container_id < one.size)
        found.append(next((one.host_id + first - one.container_id for one in rows), 0))
    return found[0], found[1]


def check_own_pids(config: Config) -> None:
    """Refuse to share process ids without a cgroup: nothing would tell whose processes are whose.

    Raises: CgroupUnavailable.
    """
    if mode_of(config, "pid") != NamespaceMode.PRIVATE:
        message = (
            "namespaces.pid other than private needs a cgroup, or its processes could not be told "
            "from others and ended with it; an ordinary user needs one that is delegated"
        )
        raise ReconcilerError(ErrorCode.CgroupUnavailable, message, field="namespaces.pid")


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
    for name in () if joined_path(config, "user") is not None else _BY_STEP:
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
        values = [[dotted_name(name), value] for name, value in isolation.sysctl.items()]
        steps.append(attributes.WriteSysctls(values))
    return steps


def _check_namespace(name: str, path: str) -> None:
    if not os.path.exists(path):
        raise _invalid(f"namespaces.{name}", f"the namespace {path} does not exist")


def _check_sysctls(config: Config) -> None:
    """Refuse parameters that are not of a namespace of the container's own."""
    for name in map(dotted_name, config.isolation.sysctl):
        owner = owner_of(name)
        if owner is None:
            message = f"the kernel parameter {name} is not of a namespace: it is the whole host's"
            raise _invalid(f"sysctl.{name}", message)
        if mode_of(config, owner) == NamespaceMode.HOST:
            message = f"{name} needs a {owner} namespace of the container's own"
            raise _invalid(f"sysctl.{name}", message)


def _invalid(field: str, message: str) -> ReconcilerError:
    return ReconcilerError(ErrorCode.ConfigInvalid, message, field=field)
