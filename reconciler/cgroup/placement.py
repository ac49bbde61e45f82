"""Decides below which cgroups containers are made, and enables v2 controllers there.

Everything goes below the caller's own cgroup unless a parent is named. On v2 a cgroup with
processes cannot hand controllers to its children (no-internal-process rule, cgroup-v2.rst;
the root is exempt), so there the nearest ancestor that can is taken. Where there is none, our
own cgroup is vacated if it was given to us to arrange: its processes go into a child of it.
"""

from __future__ import annotations

import os

from reconciler.cgroup import core, files
from reconciler.cgroup.detect import Hierarchies, Hierarchy
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Iterable, Iterator, suppress

DEVICES = "devices"
WANTED_V2 = frozenset({"memory", "cpu", "cpuset", "pids", "io"})
# Handed down when a container needs them, and no reason to choose another place.
FURTHER_V2 = frozenset({"hugetlb", "rdma"})
FURTHER_V1 = ("hugetlb", "rdma", "net_cls", "net_prio")
CALLERS = "reconciler-callers"  # the child that a vacated cgroup's processes are in
_VACATE_ROUNDS = 20
WANTED_V1 = ("memory", "cpu", "cpuacct", "cpuset", "pids", "blkio")


def base_paths(
    hierarchies: Hierarchies, parent: str | None, *, has_bpf: bool = True
) -> dict[str, str]:
    """Return the base directory of every hierarchy that is needed, by key.

    `parent` is a cgroup path such as `/foo`, relative to each hierarchy's root. Without `has_bpf`
    v1's devices controller is needed.

    Raises: CgroupUnavailable when a base cannot be had; OSError with the path.
    """
    if parent is not None:
        parent = _checked_parent(parent)
    wanted = WANTED_V1 if hierarchies.unified else (*WANTED_V1, core.FREEZER)
    bases = {
        name: _base_v1(hierarchies.v1[name], parent) for name in wanted if name in hierarchies.v1
    }
    for name in FURTHER_V1 if has_bpf else (*FURTHER_V1, DEVICES):
        if name in hierarchies.v1:
            with suppress(ReconcilerError):  # without it, what needs it is refused
                bases[name] = _base_v1(hierarchies.v1[name], parent)
    if hierarchies.unified:
        bases[core.UNIFIED] = _base_v2(hierarchies.unified, parent)
    if not bases:
        raise _unavailable("no cgroup hierarchy is mounted; mount one at /sys/fs/cgroup")
    return bases


def further_base_paths(
    hierarchies: Hierarchies, parent: str | None, bases: dict[str, str]
) -> dict[str, str]:
    """Return the base directories in the hierarchies of v1 that are in no need: not in `bases`.

    Without those that we may not write to.
    """
    further: dict[str, str] = {}
    for name, hierarchy in (hierarchies.v1 | hierarchies.named).items():
        if name not in bases:
            with suppress(ReconcilerError):
                further[name] = _base_v1(hierarchy, parent)
    return further


def offered_controllers(unified: Hierarchy, base: str, parent: str | None) -> frozenset[str]:
    """Return the wanted v2 controllers that cgroups below `base` can have.

    A named parent may lie below cgroups that hand nothing down yet: whoever may write at the
    top can have them all there. Below our own cgroup only the base itself is changed.

    Raises: OSError with the path.
    """
    top = unified.mount_point
    if parent is not None and os.access(f"{top}/cgroup.subtree_control", os.W_OK):
        return (WANTED_V2 | FURTHER_V2) & set(unified.controllers)
    return (WANTED_V2 | FURTHER_V2) & _offered(nearest_existing(base), top)


def enable_controllers(directory: str, top: str, wanted: frozenset[str]) -> None:
    """Hand the wanted controllers to the children of a v2 cgroup, its ancestors' first.

    Raises: OSError with path and data; EBUSY when the cgroup holds processes.
    """
    missing = wanted - _words(directory, "cgroup.subtree_control")
    if missing - _words(directory, "cgroup.controllers") and directory != top:
        enable_controllers(os.path.dirname(directory), top, wanted)
    if missing:
        if _may_vacate(directory, top):
            vacate(directory)
        text = " ".join(f"+{name}" for name in sorted(missing))
        files.write_text(f"{directory}/cgroup.subtree_control", text)


def nearest_existing(directory: str) -> str:
    """Return a directory, or its nearest ancestor that is there already."""
    while not files.exists(directory):
        directory = os.path.dirname(directory)
    return directory


def _checked_parent(parent: str) -> str:
    parts = parent.split("/")
    if not parent.startswith("/") or ".." in parts or "\0" in parent:
        raise _unavailable(f"{parent!r} is not a cgroup path such as /foo")
    return "".join(f"/{part}" for part in parts if part not in ("", "."))


def _base_v1(hierarchy: Hierarchy, parent: str | None) -> str:
    base = _own(hierarchy) if parent is None else hierarchy.mount_point + parent
    return _writable_or_raise(base)


def _base_v2(unified: Hierarchy, parent: str | None) -> str:
    if parent is not None:
        return _writable_or_raise(unified.mount_point + parent)
    wanted = WANTED_V2 & set(unified.controllers)
    top = unified.mount_point
    candidates = [path for path in _within_scope(_upwards(_own(unified), top)) if _is_ours(path)]
    if not candidates:
        raise _unavailable(f"neither {_own(unified)} nor an ancestor is writable")
    offers = {path: wanted & _offered(path, top) for path in candidates}
    # The nearest one that offers all; where none does, the nearest of those that offer most.
    return max(candidates, key=lambda path: (len(offers[path]), not _may_vacate(path, top)))


def _own(hierarchy: Hierarchy) -> str:
    if hierarchy.own is None:
        raise _unavailable(f"our own cgroup is not to be seen below {hierarchy.mount_point}")
    return hierarchy.own


def _upwards(path: str, top: str) -> Iterator[str]:
    yield path
    while path != top and len(path) > len(top):
        path = os.path.dirname(path)
        yield path


def _is_ours(path: str) -> bool:
    """Tell whether we may make cgroups in it and move processes within it (delegation)."""
    return os.access(path, os.W_OK) and os.access(f"{path}/cgroup.procs", os.W_OK)


def _offered(path: str, top: str) -> set[str]:
    """Return the controllers that children of a v2 cgroup have or can be given."""
    enabled = _words(path, "cgroup.subtree_control")
    can_enable = os.access(f"{path}/cgroup.subtree_control", os.W_OK) and (
        _is_root(path, top) or not _words(path, "cgroup.procs") or _may_vacate(path, top)
    )
    return enabled | _words(path, "cgroup.controllers") if can_enable else enabled


def _is_root(path: str, top: str) -> bool:
    """Tell whether it is the root of all cgroups, not that of a cgroup namespace (cgroups(7))."""
    return path == top and not files.exists(f"{path}/cgroup.type")


def _within_scope(upwards: Iterable[str]) -> Iterator[str]:
    """Yield cgroups up to a scope that systemd has delegated: above it they are systemd's.

    A delegated service is none: systemd could not start it again in a cgroup that has handed
    controllers down.
    """
    for path in upwards:
        yield path
        if path.endswith(".scope") and _is_marked_delegated(path):
            return


def _is_marked_delegated(path: str) -> bool:
    for name in ("user.delegate", "trusted.delegate"):  # CGROUP_DELEGATION of systemd
        with suppress(OSError):
            if os.getxattr(path, name) == b"1":
                return True
    return False


def _may_vacate(path: str, top: str) -> bool:
    """Tell whether we are in a cgroup and may arrange what is in it: it was delegated to us.

    So is the root of a cgroup namespace, a scope that systemd marks, and an ordinary user's.
    """
    if str(os.getpid()) not in _words(path, "cgroup.procs") or _is_root(path, top):
        return False
    is_given = path == top or (os.geteuid() != 0 and os.stat(path).st_uid == os.geteuid())
    return is_given or (path.endswith(".scope") and _is_marked_delegated(path))


def vacate(path: str) -> None:
    """Move the processes of a cgroup into a child of it, us among them.

    Raises: OSError with path and data, as for a process that we may not move.
    """
    child = f"{path}/{CALLERS}"
    with suppress(FileExistsError):
        os.mkdir(child)
    for _ in range(_VACATE_ROUNDS):  # they may fork meanwhile
        pids = _words(path, "cgroup.procs")
        for pid in pids:
            with suppress(ProcessLookupError):
                files.write_text(f"{child}/cgroup.procs", pid)
        if not pids:
            return


def _words(directory: str, name: str) -> set[str]:
    return set(files.read_text(f"{directory}/{name}").split())


def _writable_or_raise(base: str) -> str:
    """Return `base` when it, or its nearest ancestor that exists, is writable."""
    existing = nearest_existing(base)
    if not os.access(existing, os.W_OK):
        raise _unavailable(f"{existing} is not writable")
    return base


def _unavailable(cause: str) -> ReconcilerError:
    return ReconcilerError(ErrorCode.CgroupUnavailable, f"cannot use cgroups: {cause}")
