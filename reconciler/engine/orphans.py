"""What a lost record has left: cgroups of the instance without a record, inits that nobody knows.

Called by Engine for who holds the reconciler's lock. A container's record is there before its
cgroup, and until after it: a cgroup without one belongs to a run that nothing knows of any more.
An init that was moved elsewhere before its record was lost is known by its standard streams: they
are FIFOs of this instance.
"""

from __future__ import annotations

import os
from stat import S_ISFIFO

from reconciler.cgroup import core
from reconciler.cgroup.driver import CgroupDriver
from reconciler.engine.store import Store
from reconciler.errors import ReconcilerError
from reconciler.lean import Collection, Iterable, signal
from reconciler.linux.proc import is_same_process, read_lists

_STREAM_FDS = (1, 2)


def sweep_cgroups(driver: CgroupDriver, store: Store, base_name: str) -> None:
    """End what runs in the instance's cgroup and belongs to no record. Raises: OSError."""
    paths = driver.paths(base_name, "any")
    if not paths:
        return
    base = os.path.dirname(core.anchor(paths))
    try:
        found = os.listdir(base)  # before the records: what is made meanwhile has one
    except FileNotFoundError:
        return
    known = frozenset(store.ids())
    for name in found:
        directory = os.path.join(base, name)
        if name not in known and os.path.isdir(directory):
            paths = driver.paths(base_name, name)
            driver.kill(paths)
            driver.remove(paths)
    inside = read_lists(os.path.join(base, "cgroup.procs")).split()
    end_orphans(store, map(int, inside))


def end_orphans(store: Store, pids: Iterable[int]) -> None:
    """Kill those of some processes that are of this instance and in no container of it.

    Where an init is known that was moved, that is drift of its container: it is left to that.
    """
    ours = [pid for pid in pids if _is_from(store.containers_dir, pid)]
    if not ours:
        return
    known = _known_namespaces(store)
    for pid in ours:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if _namespace(pid) not in known and _is_from(store.containers_dir, pid):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except ProcessLookupError:
            continue
        finally:
            os.close(pidfd)


def _is_from(containers_dir: str, pid: int) -> bool:
    """Tell whether a process writes to a FIFO of a container of ours, be it removed by now."""
    for fd in _STREAM_FDS:
        try:
            path = f"/proc/{pid}/fd/{fd}"
            target, status = os.readlink(path), os.stat(path)
            is_on_same = status.st_dev == os.stat(containers_dir).st_dev
        except OSError:
            continue
        # The path begins where the file system is mounted if that mount is not in the process's
        # own namespace, as it is not in a container.
        above = target.rpartition("/containers/")[0]
        is_below = f"/{containers_dir}".endswith(f"{above}/containers")
        if is_on_same and S_ISFIFO(status.st_mode) and "/containers/" in target and is_below:
            return True
    return False


def _known_namespaces(store: Store) -> Collection[str]:
    """Return the pid namespaces of all inits that a record knows, and our own."""
    found = {_namespace(os.getpid())}
    for name in store.ids():
        try:
            init = store.read(name).init
        except ReconcilerError:
            continue
        if init is not None and is_same_process(init.pid, init.start_ticks):
            found.add(_namespace(init.pid))
    return found


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""
