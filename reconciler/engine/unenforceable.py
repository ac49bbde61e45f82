"""Which fields of a Config this host cannot enforce, why, and how to get it.

Called by Engine. What the kernel allows a process follows from the one that starts it: the
monitor, where one lives, else us. Source: setrlimit(2), proc(5) (oom_score_adj), seccomp(2).
"""

from __future__ import annotations

import os

from reconciler.cgroup.canonical import Unsupported
from reconciler.cgroup.driver import CgroupDriver
from reconciler.engine import setup_process
from reconciler.engine.host_needs import has_capability, unsuited
from reconciler.engine.seccomp_profile import default_filter
from reconciler.errors import ReconcilerError
from reconciler.lean import Iterator
from reconciler.linux.proc import read_file
from reconciler.model.config import Config, SeccompMode

_CAP_SYS_RESOURCE = 24
_SECCOMP_ACTIONS = "/proc/sys/kernel/seccomp/actions_avail"
_HOW_CAPABILITY = "start the reconciler with CAP_SYS_RESOURCE"


def find_unenforceable(config: Config, driver: CgroupDriver, starter: int) -> list[Unsupported]:
    """Return the fields that cannot be enforced; `starter` is the pid of who starts inits.

    Raises: OSError when the host cannot be asked.
    """
    found = [*driver.unsupported(config.resources), *_seccomp(config), *_labels(config)]
    found += unsuited(config, driver, lambda: starter)
    if not (config.rlimits or config.oom_score_adj is not None) or has_capability(
        starter, _CAP_SYS_RESOURCE
    ):
        return found
    return [*found, *_rlimits(config, starter), *_oom_score(config, starter)]


def _rlimits(config: Config, starter: int) -> Iterator[Unsupported]:
    import resource

    for limit in config.rlimits:
        number = getattr(resource, f"RLIMIT_{limit.type}", None)
        if number is None:
            continue
        ours = resource.prlimit(starter, number)[1]
        wanted = resource.RLIM_INFINITY if limit.hard is None else limit.hard
        if ours != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > ours):
            reason = f"its hard value is above ours, {ours}, and we lack CAP_SYS_RESOURCE"
            yield Unsupported(f"rlimits.{limit.type.lower()}", reason, _HOW_CAPABILITY)


def _oom_score(config: Config, starter: int) -> Iterator[Unsupported]:
    wanted = config.oom_score_adj
    ours = int(read_file(f"/proc/{starter}/oom_score_adj"))
    if wanted is not None and wanted < ours:
        reason = f"it is below ours, {ours}, and we lack CAP_SYS_RESOURCE"
        yield Unsupported("oomScoreAdj", reason, _HOW_CAPABILITY)


def _labels(config: Config) -> Iterator[Unsupported]:
    how = "boot a kernel with it, or leave the field out"
    if config.isolation.apparmor_profile and not setup_process.has_apparmor():
        yield Unsupported("security.apparmorProfile", "this host has no AppArmor", how)
    if config.isolation.selinux_label and not setup_process.has_selinux():
        yield Unsupported("security.selinuxLabel", "this host has no SELinux", how)


def _seccomp(config: Config) -> Iterator[Unsupported]:
    if config.security.seccomp is SeccompMode.UNCONFINED:
        return
    if not os.path.exists(_SECCOMP_ACTIONS):
        how = "boot a kernel with CONFIG_SECCOMP_FILTER"
        yield Unsupported("security.seccomp", "the kernel has no filters", how)
        return
    try:
        default_filter(frozenset(config.security.capabilities), os.uname().machine)
    except ReconcilerError as error:
        how = "set security.seccomp: unconfined"
        yield Unsupported("security.seccomp", str(error), how)
