"""What the monitor needs of cgroups: members, OOM kills, freezer and kill, by paths alone.

Called by the monitor and by the drivers. Imports only the standard library and `files`:
no model, no error tree. `paths` maps `unified` or a v1 controller's name to the absolute
directory of one container's cgroup; co-mounted controllers share a directory.
"""

from __future__ import annotations

import errno
import os
import select
import time

from reconciler.cgroup import files
from reconciler.lean import Collection, Mapping, signal, suppress

UNIFIED = "unified"
FREEZER = "freezer"
THAWED, FREEZING, FROZEN = "thawed", "freezing", "frozen"

_FREEZE_WAIT_S = 0.5
_KILL_WAIT_S = 2.0
_POLL_MS = 5
_LEAF_LINKS = 2  # of a directory with none below it, as kernfs counts; cheaper than to list it


def directories(paths: Mapping[str, str]) -> list[str]:
    """Return each directory once, in order."""
    return list(dict.fromkeys(paths.values()))


def exists(paths: Mapping[str, str]) -> bool:
    """Tell whether every directory is there."""
    return bool(paths) and all(files.exists(path) for path in directories(paths))


def is_populated(paths: Mapping[str, str]) -> bool:
    """Tell whether a live process is in the cgroup or below it; False when it is gone.

    Raises: OSError with the path.
    """
    unified = paths.get(UNIFIED)
    if unified is None:
        return bool(processes(paths))
    return "populated 1" in (files.read_optional(f"{unified}/cgroup.events") or "")


def processes(paths: Mapping[str, str]) -> list[int]:
    """Return the pids in the cgroup and in those nested in it; none when it is gone.

    Raises: OSError with the path.
    """
    if not paths:
        return []
    return [pid for path in descend(anchor(paths)) for pid in _read_pids(path)]


def anchor(paths: Mapping[str, str]) -> str:
    """Return the directory whose processes are the container's."""
    return paths.get(UNIFIED) or paths.get(FREEZER) or next(iter(paths.values()))


def are_of(paths: Mapping[str, str], text: str) -> bool:
    """Tell whether a process is in all of the cgroups, or below them, by its /proc/PID/cgroup.

    Source: proc(5). The paths there begin where our cgroup namespace does, and the directories
    where the mount does: what both have is the instance's name and the container's.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(",") if controllers else [UNIFIED], f"{path}/")
    return all(_ending(directory) in found.get(key, "") for key, directory in paths.items())


def _ending(directory: str) -> str:
    parent, name = os.path.split(directory)
    return f"/{os.path.basename(parent)}/{name}/"


def descend(path: str) -> list[str]:
    """Return the cgroup and all nested ones, parents first; none when it is gone.

    Raises: OSError with the path.
    """
    found = [path]
    for parent in found:
        try:
            if os.stat(parent).st_nlink == _LEAF_LINKS:
                continue
            with os.scandir(parent) as entries:
                found += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            continue
    return found


def _read_pids(path: str) -> list[int]:
    try:
        text = files.read_text(f"{path}/cgroup.procs")
    except FileNotFoundError:
        return []
    except OSError as error:
        # A threaded cgroup has no list of its own; its domain lists the processes.
        # ENODEV: the cgroup was removed between open and read.
        if error.errno in (errno.EOPNOTSUPP, errno.ENODEV):
            return []
        raise
    # 0 stands for a process outside our pid namespace.
    return [int(pid) for pid in text.split() if pid != "0"]


def oom_kills(paths: Mapping[str, str]) -> int:
    """Return how many processes the OOM killer took since the cgroup was made (0: or unknown).

    v1: `oom_kill` in memory.oom_control (kernel 4.13); v2: `oom_kill` in memory.events.

    Raises: OSError with the path.
    """
    memory = paths.get("memory")
    if memory is not None:
        text = files.read_optional(f"{memory}/memory.oom_control")
    elif UNIFIED in paths:
        text = files.read_optional(f"{paths[UNIFIED]}/memory.events")
    else:
        return 0
    words = (text or "").split()
    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


def freeze(paths: Mapping[str, str]) -> None:
    """Ask the kernel to freeze all processes; `freezer_state` tells when it is done.

    Raises: OSError with the path; ENOTSUP where there is no freezer.
    """
    _write_freezer(paths, frozen=True)


def thaw(paths: Mapping[str, str]) -> None:
    """Ask the kernel to thaw all processes.

    Raises: OSError with the path; ENOTSUP where there is no freezer.
    """
    _write_freezer(paths, frozen=False)


def _write_freezer(paths: Mapping[str, str], *, frozen: bool) -> None:
    if UNIFIED in paths:
        files.write_text(f"{paths[UNIFIED]}/cgroup.freeze", "1" if frozen else "0")
    elif FREEZER in paths:
        files.write_text(f"{paths[FREEZER]}/freezer.state", "FROZEN" if frozen else "THAWED")
    else:
        raise OSError(errno.ENOTSUP, "no cgroup freezer on this host")


def freezer_state(paths: Mapping[str, str]) -> str:
    """Return `thawed`, `freezing` or `frozen`; an ancestor's freeze counts too.

    v2: cgroup.events says frozen once all are, cgroup.freeze what was asked for; v1:
    freezer.state. A host without a freezer is always `thawed`.

    Raises: OSError with the path.
    """
    if UNIFIED in paths:
        if "frozen 1" in files.read_text(f"{paths[UNIFIED]}/cgroup.events"):
            return FROZEN
        asked = files.read_text(f"{paths[UNIFIED]}/cgroup.freeze").strip() == "1"
        return FREEZING if asked else THAWED
    if FREEZER in paths:
        return files.read_text(f"{paths[FREEZER]}/freezer.state").strip().lower()
    return THAWED


def kill(paths: Mapping[str, str]) -> None:
    """SIGKILL every process in the cgroup and below, so that none escapes by forking.

    Returns once all are signalled (v2) or gone (v1, at most 2 s); leaves the cgroup thawed.
    v2: cgroup.kill (kernel 5.14); without it: freeze, signal through pidfds, thaw.

    What somebody has put into some of the v1 hierarchies' cgroups alone is not the container's: it
    is moved to the cgroup above, as it would hold this one.

    Raises: OSError with the path; nothing when the cgroup is gone.
    """
    others = [path for path in directories(paths) if path != anchor(paths)]
    members = frozenset(processes(paths)) if others else frozenset()
    unified = paths.get(UNIFIED)
    if unified is not None and files.exists(f"{unified}/cgroup.kill"):
        files.write_text(f"{unified}/cgroup.kill", "1")
        files.write_text(f"{unified}/cgroup.freeze", "0")
    elif processes(paths):
        _kill_frozen(paths)
        _kill_until_empty(paths)
    for other in others:
        if other == paths.get(FREEZER):
            _move_in(other, members)
        _move_up(other, members)


def _move_in(freezer: str, members: frozenset[int]) -> None:
    """Take processes back that somebody has put into another freezer: frozen there, none would die.

    As far as that can be done.
    """
    for pid in members.difference(_read_pids(freezer)):
        with suppress(OSError):  # it has ended
            files.write_text(f"{freezer}/cgroup.procs", str(pid))


def _move_up(top: str, but: Collection[int]) -> None:
    """Move processes of a cgroup and those below to the one above, as far as that can be done."""
    for path in descend(top):
        for pid in _read_pids(path):
            if pid not in but:
                with suppress(OSError):  # it has ended, or the cgroup is being removed
                    files.write_text(f"{os.path.dirname(top)}/cgroup.procs", str(pid))


def _kill_frozen(paths: Mapping[str, str]) -> None:
    """Signal all while none can fork. A frozen v1 task dies only when it is thawed."""
    if UNIFIED not in paths and FREEZER not in paths:
        return
    deadline = time.monotonic() + _FREEZE_WAIT_S
    freeze(paths)
    try:
        while freezer_state(paths) == FREEZING and time.monotonic() < deadline:
            time.sleep(_POLL_MS / 1000)
        _signal_all(paths, wait_ms=0)
    finally:
        thaw(paths)


def _kill_until_empty(paths: Mapping[str, str]) -> None:
    deadline = time.monotonic() + _KILL_WAIT_S
    while processes(paths) and time.monotonic() < deadline:
        _signal_all(paths, wait_ms=_POLL_MS)


def _signal_all(paths: Mapping[str, str], *, wait_ms: int) -> None:
    """SIGKILL every member, then wait up to `wait_ms` for one to end.

    A pid may be reused between the listing and pidfd_open(2); one that is still listed
    after it was opened is a member, whoever it is.
    """
    held: dict[int, int] = {}
    poller = select.poll()
    try:
        for pid in processes(paths):
            try:
                held[pid] = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
        for pid in held.keys() & set(processes(paths)):
            try:
                signal.pidfd_send_signal(held[pid], signal.SIGKILL)
            except ProcessLookupError:
                continue
            poller.register(held[pid], select.POLLIN)
        if wait_ms:
            poller.poll(wait_ms)
    finally:
        for fd in held.values():
            os.close(fd)
