"""What the kernel shows of an init's isolation: namespaces, id maps, scheduling, groups, labels.

Called by observe, for every container in every pass: one link is read for each namespace, and of
the rest only what a spec gives. Not looked at, as a program may choose them: its umask, its working
directory, what of its scheduling is less than given. Sources: namespaces(7), proc(5), sched(7),
ioprio_set(2).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from reconciler.engine.namespaces import dotted_name, joined_path, mode_of
from reconciler.linux.proc import read_file
from reconciler.model.config import Config, SeccompMode
from reconciler.model.isolation import Isolation, NamespaceMode
from reconciler.model.value import Value
from reconciler.planning.isolation import ANOTHER, GONE

_PLAIN = Isolation()
_LINKS = {
    "pid": "pid",
    "mount": "mnt",
    "uts": "uts",
    "ipc": "ipc",
    "network": "net",
    "cgroup": "cgroup",
    "user": "user",
    "time": "time",
}
_KEYS = tuple(f"namespaces.{name}" for name in _LINKS)
_FIXED = (NamespaceMode.PRIVATE.value, NamespaceMode.HOST.value)
_POLICIES = {0: "OTHER", 1: "FIFO", 2: "RR", 3: "BATCH", 5: "IDLE", 6: "DEADLINE", 7: "EXT"}
_ONLY_LOOPBACK = 3  # lines of /proc/net/dev: two of titles
_OF_KERNEL = frozenset(
    {"lo", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0"}
    | {"ip6tnl0", "ip6gre0"}
)
_RESET_ON_FORK = 0x40000000
_IO_CLASSES = ("none", "RT", "BE", "IDLE")
_DOMAINNAME = "kernel.domainname"

Links = Mapping[str, str]
"""By a namespace's name: what its link in /proc/PID/ns says, as `net:[4026531840]`."""


class Host:
    """The namespaces of those who have started inits: what `host` means. Kept for one look.

    `hidden` are directories that no container may see.
    """

    def __init__(self, hidden: tuple[str, ...] = ()) -> None:
        self.hidden = hidden
        self._links: dict[int, Links] = {}

    def links_of(self, pid: int) -> Links:
        """Return the namespaces of a process; none where they may not be looked at."""
        if pid not in self._links:
            try:
                self._links[pid] = {name: _link(pid, name) for name in _LINKS}
            except OSError:  # an ordinary user may not look at the monitor, which hides
                self._links[pid] = {}
        return self._links[pid]


def read_isolation(
    pid: int, config: Config, hosts: Links, before: Mapping[str, Value]
) -> dict[str, Value]:
    """Return fields of a spec as the kernel shows them of an init that runs.

    `interfaces` are those beyond loopback where there are to be none; `namespaces.NAME` are
    `private`, `host`, a path or what differs from it; `scheduler` is policy, nice value and
    real-time priority, `ioPriority` class and priority. `hosts` are the namespaces of its starter,
    `before` what was shown of the same init.

    Raises: OSError.
    """
    shown = _kept(config, before) or _namespaces(pid, config, hosts)
    if interfaces := _foreign_interfaces(pid, config):
        shown["interfaces"] = interfaces
    isolation = config.isolation
    if isolation is _PLAIN or isolation == _PLAIN:
        return shown
    for kind in ("uid", "gid"):
        if getattr(isolation, f"{kind}_mappings"):
            shown[f"{kind}Mappings"] = _id_map(pid, kind)
    if isolation.scheduler is not None:
        policy = os.sched_getscheduler(pid) & ~_RESET_ON_FORK
        nice = os.getpriority(os.PRIO_PROCESS, pid)
        priority = os.sched_getparam(pid).sched_priority
        shown["scheduler"] = (_POLICIES.get(policy, str(policy)), nice, priority)
    if isolation.io_priority is not None:
        from reconciler.linux.process import get_io_priority  # ctypes, which is slow to load

        io_class, priority = get_io_priority(pid)
        shown["ioPriority"] = (_IO_CLASSES[io_class], priority)
    return shown | _labels(pid, isolation)


def has_left_mounts(config: Config, shown: Mapping[str, Value]) -> bool:
    """Tell whether an init without a filter may have gone into mounts of its own making."""
    is_open = config.security.seccomp is SeccompMode.UNCONFINED
    return is_open and "namespaces.mount" not in shown


def wanted_parameters(config: Config) -> dict[str, str]:
    """Return which kernel parameters a Config gives: by their dotted names, the fields' paths."""
    isolation = config.isolation
    if isolation is _PLAIN:
        return {}
    wanted = {dotted_name(name): f"sysctl.{name}" for name in isolation.sysctl}
    if isolation.domainname is not None:
        wanted[_DOMAINNAME] = "domainname"
    return wanted


def _kept(config: Config, before: Mapping[str, Value]) -> dict[str, Value] | None:
    """Return the namespaces as shown before, where nobody can change them: setns(2) and unshare(2)
    are for the caller alone, and take a capability that it has not. A path may lead elsewhere.
    """
    if config.security.seccomp is SeccompMode.UNCONFINED:
        return None
    kept = {key: before.get(key) for key in _KEYS}
    return kept if all(value in _FIXED for value in kept.values()) else None


def _namespaces(pid: int, config: Config, hosts: Links) -> dict[str, Value]:
    shown: dict[str, Value] = {}
    links = {name: _link(pid, name) for name in _LINKS}
    if _may_enter_others(config, links, hosts):
        return shown
    for name, link in links.items():
        path = joined_path(config, name)
        if path is None and not hosts:
            continue
        key = f"namespaces.{name}"
        if path is not None:
            shown[key] = _of_path(pid, name, path)
        elif link == hosts[name]:
            shown[key] = NamespaceMode.HOST.value
        else:
            is_private = mode_of(config, name) == NamespaceMode.PRIVATE
            shown[key] = NamespaceMode.PRIVATE.value if is_private else ANOTHER
    return shown


def _may_enter_others(config: Config, links: Links, hosts: Links) -> bool:
    """Tell whether a program may have entered namespaces by itself: then they are its own affair.

    Without a filter on system calls it can once it has made itself a user namespace.
    """
    if "SYS_ADMIN" in config.security.capabilities:
        return True
    if config.security.seccomp is not SeccompMode.UNCONFINED:
        return False
    return mode_of(config, "user") != NamespaceMode.HOST or links["user"] != hosts.get("user")


def _foreign_interfaces(pid: int, config: Config) -> tuple[str, ...]:
    """Return the network interfaces that somebody has given to a container that is to have none.

    The program may make some with NET_ADMIN, as may hooks. Those of tunnels the kernel makes by
    itself in every namespace (net.core.fb_tunnels_only_for_init_net).
    """
    isolation = config.isolation
    if mode_of(config, "network") != NamespaceMode.PRIVATE or isolation.net_devices:
        return ()
    if {"NET_ADMIN", "SYS_ADMIN"} & {*config.security.capabilities}:
        return ()
    table = read_file(f"/proc/{pid}/net/dev")
    if table.count(b"\n") <= _ONLY_LOOPBACK or isolation.hooks != _PLAIN.hooks:
        return ()
    names = (line.partition(b":")[0].strip().decode() for line in table.splitlines()[2:])
    return tuple(sorted(name for name in names if name not in _OF_KERNEL))


def _of_path(pid: int, name: str, path: str) -> str:
    own = os.stat(f"/proc/{pid}/ns/{_LINKS[name]}")
    try:
        found = os.stat(path)
    except OSError:
        return GONE
    if os.path.samestat(own, found):
        return path
    return ANOTHER if found.st_dev == own.st_dev else GONE  # not even a namespace


def _link(pid: int, name: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{_LINKS[name]}")


def _id_map(pid: int, kind: str) -> tuple[str, ...]:
    """Return `0:524288:65536` for each range, sorted, as the kernel may sort them."""
    lines = read_file(f"/proc/{pid}/{kind}_map").decode().splitlines()
    return tuple(sorted(":".join(line.split()) for line in lines))


def _labels(pid: int, isolation: Isolation) -> dict[str, Value]:
    """Return the labels of security modules, of those that the spec gives and the host has."""
    files = {}
    if isolation.apparmor_profile:
        files["security.apparmorProfile"] = "apparmor/current"
    if isolation.selinux_label:
        files["security.selinuxLabel"] = "current"
    shown: dict[str, Value] = {}
    for path, name in files.items():
        try:
            label = read_file(f"/proc/{pid}/attr/{name}").decode("utf-8", "backslashreplace")
        except OSError:  # the module is not there
            continue
        shown[path] = label.rstrip("\0\n").partition(" (")[0]
    return shown


def set_scheduling(pid: int, config: Config, path: str) -> None:
    """Give an init the `scheduler` or the `ioPriority` of its Config again. Raises: OSError."""
    isolation = config.isolation
    if path == "scheduler" and (one := isolation.scheduler) is not None:
        word = one.policy.removeprefix("SCHED_")
        number = next(number for number, name in _POLICIES.items() if name == word)
        number |= _RESET_ON_FORK if "SCHED_FLAG_RESET_ON_FORK" in one.flags else 0
        os.sched_setscheduler(pid, number, os.sched_param(one.priority or 0))
        if not one.priority:
            os.setpriority(os.PRIO_PROCESS, pid, one.nice or 0)
    elif path == "ioPriority" and isolation.io_priority is not None:
        from reconciler.linux.process import set_io_priority

        word = isolation.io_priority.io_class.removeprefix("IOPRIO_CLASS_")
        set_io_priority(_IO_CLASSES.index(word), isolation.io_priority.priority, pid)
