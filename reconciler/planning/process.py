"""Which fields of a running init are not as its spec says, where only interference can be why.

Called by diff. A program may give up what it has: capabilities, a user id that may be changed,
limits. So what is compared is whether it has more than its spec gives. Identity is reported
only, as nothing but a restart would change it; what can be mended in place is, and for what was
unmounted it is started anew. Processes in its
cgroup that are not its own are reported, never killed: they are somebody's.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.action import ChangeClass, FieldChange
from reconciler.model.config import Config, Rlimit, SeccompMode
from reconciler.model.isolation import NamespaceMode
from reconciler.model.spec import DriftPolicy, Spec
from reconciler.model.value import Value
from reconciler.model.world import Observed
from reconciler.planning.changes import make_change, reported
from reconciler.planning.isolation import isolation_drift

STRANGERS = "processes"
"""Path of the row for foreign processes in the cgroup; no field of a spec."""

CGROUP = "cgroup"
"""Path of the row for an init outside its cgroup; no field of a spec, and always mended."""

_ROOT = ("0", "root")


def process_drift(spec: Spec, observed: Observed) -> Iterator[FieldChange]:
    """Yield what differs in the processes of a container, each with its policy."""
    if not observed.status.has_processes():
        return
    if not observed.has_cgroup:
        yield make_change(spec, CGROUP, "its own", None, ChangeClass.RESTART, DriftPolicy.ENFORCE)
    if observed.unmounted and observed.config.mounts == spec.config.mounts:
        yield make_change(spec, "mounts", observed.unmounted, None, ChangeClass.RESTART)
    yield from _mendable(spec, observed)
    for change in (*_identity(spec, observed), *_strangers(spec, observed)):
        yield reported(spec, change)
    yield from isolation_drift(spec, observed)


def _mendable(spec: Spec, observed: Observed) -> Iterator[FieldChange]:
    """Yield what differs in the init and can be mended while it runs."""
    config, before, shown = spec.config, observed.config, observed.process
    if before.oom_score_adj == config.oom_score_adj is not None:
        value = shown.get("oomScoreAdj", config.oom_score_adj)
        if value != config.oom_score_adj:
            yield make_change(spec, "oomScoreAdj", config.oom_score_adj, value, ChangeClass.LIVE)
    if before.hostname == config.hostname and has_own_hostname(config):
        wanted = config.hostname or spec.name
        value = shown.get("hostname", wanted)
        if value != wanted:
            yield make_change(spec, "hostname", wanted, value, ChangeClass.LIVE)
    if before.rlimits != config.rlimits:
        return  # a new run is needed for those anyway
    for limit in config.rlimits:
        path = f"rlimits.{limit.type.lower()}"
        value = shown.get(path)
        if isinstance(value, tuple) and _is_above(value[1], limit):
            yield make_change(spec, path, (limit.soft, limit.hard), value, ChangeClass.LIVE)


def has_own_hostname(config: Config) -> bool:
    """Tell whether its host name is its own: else to mend it would be to rename the host."""
    return config.isolation.namespaces.uts == NamespaceMode.PRIVATE


def _identity(spec: Spec, observed: Observed) -> Iterator[FieldChange]:
    """Yield what the init has beyond what it was started with, and a restart alone takes away.

    Where the spec itself has changed since, that is a difference already.
    """
    config, shown, restart = spec.config, observed.process, ChangeClass.RESTART
    if observed.config != config or "security.capabilities" not in shown:
        return
    names = shown["security.capabilities"]
    given = config.security.capabilities
    if isinstance(names, tuple) and set(names) - set(given):
        yield make_change(spec, "security.capabilities", given, names, restart)
    if config.security.no_new_privileges and not shown["security.noNewPrivileges"]:
        yield make_change(spec, "security.noNewPrivileges", True, False, restart)
    seccomp = shown.get("security.seccomp", "default")
    if config.security.seccomp is SeccompMode.DEFAULT and seccomp != "default":
        yield make_change(spec, "security.seccomp", "default", seccomp, restart)
    ids = shown["user"]
    if isinstance(ids, tuple) and 0 in ids and not _may_be_root(config):
        yield make_change(spec, "user", config.user_or_default(), "0", restart)


def _strangers(spec: Spec, observed: Observed) -> Iterator[FieldChange]:
    if observed.strangers:
        yield make_change(spec, STRANGERS, (), observed.strangers, ChangeClass.NEVER)


def _may_be_root(config: Config) -> bool:
    security = config.security
    is_root = config.user_or_default().partition(":")[0] in _ROOT
    return is_root or "SETUID" in security.capabilities or not security.no_new_privileges


def _is_above(hard: Value, limit: Rlimit) -> bool:
    if limit.hard is None or not isinstance(hard, int | None):
        return False
    return hard is None or hard > limit.hard
