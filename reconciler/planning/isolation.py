"""Which fields of a running init's isolation are not as its spec says.

Called by process_drift. What a program may do by itself is no drift: to be nicer than it must, to
drop groups, to enter namespaces with the capability for it, to write a kernel parameter that its
spec leaves writable. What it has beyond its spec is. Kernel parameters and names are set again,
and scheduling; for a joined namespace whose path now leads to another one it is started anew; what
no start would give it differently is only reported. Where the spec itself has changed the rest is
for the new run.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.action import ChangeClass, FieldChange
from reconciler.model.config import Config
from reconciler.model.isolation import IdMapping, IoPriority, NamespaceMode, Scheduler
from reconciler.model.spec import DriftPolicy, Spec
from reconciler.model.value import Value
from reconciler.model.world import Observed
from reconciler.planning.changes import make_change, reported
from reconciler.planning.isolation_text import spell_io_priority, spell_scheduler

ANOTHER = "another one"
"""What is told of a namespace that is neither the one of the spec nor the host's."""
GONE = "one whose path is gone"
"""What is told of a joined namespace whose path leads nowhere by now."""

_RANKS = {"IDLE": 0, "BATCH": 1, "OTHER": 2, "EXT": 2, "DEADLINE": 4}
_REALTIME = 3  # FIFO and RR
_IO_RANKS = {"IDLE": 0, "none": 1, "BE": 1, "RT": 2}
_PORT_MAX = 65535  # no parameter has a list of anything else
_NAMESPACES = ("pid", "mount", "uts", "ipc", "network", "cgroup", "user", "time")


def isolation_drift(spec: Spec, observed: Observed) -> Iterator[FieldChange]:
    """Yield what differs, each with its policy."""
    config, before = spec.config, observed.config
    if (before.isolation, before.network, before.groups) != (
        config.isolation,
        config.network,
        config.groups,
    ):
        return
    yield from _namespaces(spec, observed)
    yield from _interfaces(spec, observed)
    if (before.mounts, before.rootfs) == (config.mounts, config.rootfs):
        yield from _mounts(spec, observed)
    yield from _parameters(spec, observed)
    yield from _scheduling(spec, observed)
    yield from _given_at_start(spec, observed)


def _namespaces(spec: Spec, observed: Observed) -> Iterator[FieldChange]:
    modes = spec.config.isolation.namespaces
    for name in _NAMESPACES:
        path = f"namespaces.{name}"
        if path not in observed.process:
            continue
        wanted, value = getattr(modes, name), observed.process[path]
        if wanted is None:  # the field `network` says it
            path, wanted = "network", spec.config.network.value
            value = "none" if value == NamespaceMode.PRIVATE else value
        if value != wanted:
            change = make_change(spec, path, str(wanted), value, ChangeClass.RESTART)
            is_joined = wanted not in (*NamespaceMode, "none")
            yield change if is_joined and value == ANOTHER else reported(spec, change)


def _interfaces(spec: Spec, observed: Observed) -> Iterator[FieldChange]:
    """Yield what somebody has plugged in: it is theirs, and only told."""
    names = observed.process.get("interfaces")
    if isinstance(names, tuple):
        yield _reported(spec, "network", spec.config.network.value, ", ".join(map(str, names)))


def _mounts(spec: Spec, observed: Observed) -> Iterator[FieldChange]:
    """Yield what mounts no longer protect, unless all are made anew for one that is gone."""
    if observed.unmounted and spec.drift.policy_of("mounts") is DriftPolicy.ENFORCE:
        return
    for one in observed.weakened:
        kind = ChangeClass.LIVE if one.is_live else ChangeClass.RESTART
        yield make_change(spec, one.path, one.desired, one.observed, kind)


def _parameters(spec: Spec, observed: Observed) -> Iterator[FieldChange]:
    """Yield kernel parameters that differ, unless the spec lets the program write them."""
    isolation, shown = spec.config.isolation, observed.process
    if isolation.domainname is not None:
        value = shown.get("domainname", isolation.domainname)
        if value != isolation.domainname:
            yield make_change(spec, "domainname", isolation.domainname, value, ChangeClass.LIVE)
    locked = isolation.readonly_paths
    if not isolation.sysctl or (locked is not None and "/proc/sys" not in locked):
        return
    for name, wanted in isolation.sysctl.items():
        path = f"sysctl.{name}"
        value = shown.get(path, wanted)
        if not is_same_value(wanted, str(value)):
            yield make_change(spec, path, wanted, value, ChangeClass.LIVE)


def is_same_value(wanted: str, shown: str) -> bool:
    """Tell whether the kernel shows what was written, in its own spelling: `0x10` as `16`,
    `1,2,3` as `1-3`, with tabs.
    """
    words, others = wanted.split(), shown.split()
    return len(words) == len(others) and all(map(_is_same_word, words, others))


def _is_same_word(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return _numbers(one) == _numbers(other)
    except ValueError:
        return False


def _numbers(word: str) -> list[int]:
    """Return the numbers of a list such as `1-3,8` or `-1`, sorted. Raises: ValueError."""
    found = set()
    for part in word.split(","):
        first, dash, last = part.partition("-")
        if not first or not dash:
            found.add(int(part, 0))
        else:
            found.update(range(int(first), min(int(last), _PORT_MAX) + 1))
    return sorted(found)


def _scheduling(spec: Spec, observed: Observed) -> Iterator[FieldChange]:
    """Yield what the init is served better than its spec says, unless it may ask for that."""
    config, shown = spec.config, observed.process
    if {"SYS_NICE", "SYS_ADMIN"} & set(config.security.capabilities):
        return
    wanted, value = config.isolation.scheduler, shown.get("scheduler")
    may_rise = any(one.type in ("NICE", "RTPRIO") for one in config.rlimits)
    if wanted is not None and isinstance(value, tuple) and not may_rise:
        policy, nice, priority = str(value[0]), int(str(value[1])), int(str(value[2]))
        if _is_served_better(policy, nice, priority, wanted):
            told = None if priority or (nice == 0 and wanted.nice is None) else nice
            one = Scheduler(policy=f"SCHED_{policy}", nice=told, priority=priority or None)
            desired, text = spell_scheduler(wanted), spell_scheduler(one)
            yield make_change(spec, "scheduler", desired, text, ChangeClass.LIVE)
    io_wanted, value = config.isolation.io_priority, shown.get("ioPriority")
    if io_wanted is not None and isinstance(value, tuple):
        io_class, level = str(value[0]), int(str(value[1]))
        if _is_served_first(io_class, level, io_wanted):
            desired, text = spell_io_priority(io_wanted), f"{io_class} priority={level}"
            yield make_change(spec, "ioPriority", desired, text, ChangeClass.LIVE)


def _is_served_better(policy: str, nice: int, priority: int, wanted: Scheduler) -> bool:
    rank = _RANKS.get(policy, _REALTIME)
    least = _RANKS.get(wanted.policy.removeprefix("SCHED_"), _REALTIME)
    if rank != least:
        return rank > least
    if rank == _REALTIME:
        return priority > (wanted.priority or 0)
    return rank < _REALTIME and nice < (wanted.nice or 0)


def _is_served_first(io_class: str, priority: int, wanted: IoPriority) -> bool:
    least = wanted.io_class.removeprefix("IOPRIO_CLASS_")
    rank, wanted_rank = _IO_RANKS[io_class], _IO_RANKS[least]
    if rank != wanted_rank or io_class in ("IDLE", "none"):
        return rank > wanted_rank
    return priority < wanted.priority


def _given_at_start(spec: Spec, observed: Observed) -> Iterator[FieldChange]:
    """Yield what an init gets once and cannot take: id maps, groups, labels."""
    config, shown = spec.config, observed.process
    isolation = config.isolation
    for kind in ("uid", "gid"):
        path, mappings = f"{kind}Mappings", _spell_map(getattr(isolation, f"{kind}_mappings"))
        if shown.get(path, mappings) != mappings:
            yield _reported(spec, path, mappings, shown[path])
    if "groups" in shown and not may_set_groups(config):
        yield _reported(spec, "groups", config.groups, shown["groups"])
    for path, label in (
        ("security.apparmorProfile", isolation.apparmor_profile),
        ("security.selinuxLabel", isolation.selinux_label),
    ):
        value = str(shown.get(path, label))
        if label and value != label and not value.startswith(f"{label}//"):
            yield _reported(spec, path, label, shown[path])


def may_set_groups(config: Config) -> bool:
    """Tell whether a program may take groups: by the capability, or a set-user-ID program."""
    security = config.security
    return "SETGID" in security.capabilities or not security.no_new_privileges


def _spell_map(mappings: tuple[IdMapping, ...]) -> tuple[str, ...]:
    rows = (f"{one.container_id}:{one.host_id}:{one.size}" for one in mappings)
    return tuple(sorted(rows))


def _reported(spec: Spec, path: str, desired: Value, observed: Value) -> FieldChange:
    return reported(spec, make_change(spec, path, desired, observed, ChangeClass.RESTART))
