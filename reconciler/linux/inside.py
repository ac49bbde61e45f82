"""Kernel parameters of other namespaces, and of fresh ones, read. Cheap to import.

Called by the control loop and the engine. /proc/sys shows the parameters of its reader's own
namespaces, through whichever mount it is read: /proc/PID/root/proc/sys has those of who opens it,
not of PID. So a thread of its own enters the network, IPC and UTS namespace, and ends there.
Nothing of ours can be reached by that: nobody inside has a number for this process, and its files,
memory and credentials stay what they are. Source: setns(2), proc(5), net/sysctl_net.c and
ipc/ipc_sysctl.c of Linux.
"""

from __future__ import annotations

import os
import threading

from reconciler.lean import Callable, Iterable, Mapping, cache
from reconciler.linux.proc import parameter_path, read_file

_NEWUTS, _NEWIPC, _NEWNET = 0x4000000, 0x8000000, 0x40000000


def read_parameters(wanted: Mapping[int, Iterable[str]]) -> dict[int, dict[str, str]]:
    """Return kernel parameters (dotted names) as each process sees them.

    Left out are processes that have ended, and parameters that are not there or cannot be read.
    About 40 microseconds a process. Raises: OSError where namespaces may not be entered.
    """
    found: dict[int, dict[str, str]] = {}

    def read() -> None:
        for pid, names in wanted.items():
            if enter_namespaces(pid, _NEWUTS | _NEWIPC | _NEWNET):
                found[pid] = {name: text for name in names if (text := _read(name)) is not None}

    if wanted:
        run_in_thread(read)
    return found


@cache
def missing_parameters(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return which kernel parameters (dotted names) fresh namespaces have not.

    As an ordinary user, those that ours have not: ours have more.
    """
    missing: list[str] = []

    def look() -> None:
        if os.geteuid() == 0:
            from reconciler.linux.process import unshare

            unshare(_NEWUTS | _NEWIPC | _NEWNET)
        missing.extend(name for name in names if not os.path.exists(parameter_path(name)))

    run_in_thread(look)
    return tuple(missing)


def enter_namespaces(pid: int, flags: int) -> bool:
    """Move this thread into namespaces of a process (CLONE_NEW*); False when it has ended.

    Raises: OSError.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        set_namespace(pidfd, flags)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def run_in_thread(function: Callable[[], None]) -> None:
    """Run a function in a thread of its own and wait for its end. Raises: OSError, as it does."""
    failures: list[OSError] = []

    def run() -> None:
        try:
            function()
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="inside")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _read(name: str) -> str | None:
    try:
        text = read_file(parameter_path(name)).decode("utf-8", "backslashreplace")
    except OSError:  # of a module that is gone, or only to be written
        return None
    return " ".join(text.split())


def set_namespace(fd: int, flags: int) -> None:
    """Move this thread into a namespace, or those of a pidfd (setns(2)). Raises: OSError."""
    if hasattr(os, "setns"):  # Python 3.12
        os.setns(fd, flags)
    else:
        from reconciler.linux.process import setns

        setns(fd, flags)
