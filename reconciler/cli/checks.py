"""What `doctor` asks the host: can this be done here, by us, now. Every answer is tried or read.

Called by `doctor`. A check has no effect that lasts.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

OK, WARN, FAIL = "OK", "WARN", "FAIL"

_KERNEL = (5, 14)
_PYTHON = (3, 11)
_SECCOMP_ACTIONS = {"kill_process", "errno", "allow"}

# What is needed for any container, and what some specs need, with what for.
_NEEDED = ("SYS_ADMIN", "SETUID", "SETGID", "SETPCAP", "KILL", "NET_ADMIN", "DAC_OVERRIDE")
_USEFUL = {"SYS_RESOURCE": "raise rlimits, and oomScoreAdj below our own"}

# Namespace, its flag's name in CloneFlag, and the sysctl that may forbid it (namespaces(7)).
NAMESPACES = (
    ("pid", "NEWPID"),
    ("mnt", "NEWNS"),
    ("uts", "NEWUTS"),
    ("ipc", "NEWIPC"),
    ("net", "NEWNET"),
    ("cgroup", "NEWCGROUP"),
)


class Check(NamedTuple):
    """One answer: what was asked, how it is, what was found, and what mends it."""

    name: str
    status: str
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, str | None]:
        """Return it as the items of `--output json` are."""
        known = {"name": self.name, "status": self.status, "found": self.found}
        return known | {"remedy": self.remedy or None}


def check_host() -> Iterator[Check]:
    """Yield the answers about interpreter, kernel and privileges."""
    for check in (_python, _kernel, _clone3, _mount_setattr, _seccomp, _overlayfs):
        yield check()
    if os.geteuid() == 0:
        yield Check("user", OK, "root")
        yield from _capabilities()
        for kind, flag in NAMESPACES:
            how = "needs CAP_SYS_ADMIN and a kernel with namespaces"
            yield try_namespaces(f"{kind} namespace", kind, [flag], how)
    else:
        from reconciler.cli.checks_rootless import check_user

        yield from check_user()
    yield _inotify()


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= _PYTHON:
        return Check("python", OK, f"Python {found}")
    return Check("python", FAIL, f"Python {found}", "install Python 3.11 or later")


def _kernel() -> Check:
    release = os.uname().release
    numbers = [int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit()]
    if tuple(numbers) >= _KERNEL:
        return Check("kernel", OK, f"Linux {release}")
    return Check("kernel", FAIL, f"Linux {release}", "boot Linux 5.14 or later")


def _capabilities() -> Iterator[Check]:
    from reconciler.linux.capabilities import NAMES, NUMBERS, last_cap, read_own

    sets = read_own()
    names = [name for name in NAMES if NUMBERS[name] <= last_cap()]
    missing = [name for name in names if not sets.effective >> NUMBERS[name] & 1]
    if lacking := [name for name in _NEEDED if name in missing]:
        how = f"start it with CAP_{', CAP_'.join(lacking)}, best as root outside a container"
        yield Check("capabilities", FAIL, f"without {', '.join(lacking)}", how)
    else:
        yield Check("capabilities", OK, f"{len(names) - len(missing)} of {len(names)}")
    for name, what_for in _USEFUL.items():
        if name in missing:
            how = f"start it with CAP_{name}, if a spec asks for that"
            yield Check(f"CAP_{name}", WARN, f"missing: cannot {what_for}", how)
    others = [name for name in missing if name not in _NEEDED and name not in _USEFUL]
    if others:
        how = "start it with them, if a spec's security.capabilities names them"
        yield Check("other capabilities", WARN, f"cannot be given: {', '.join(others)}", how)


def _clone3() -> Check:
    """Try clone3(2) with a pidfd, and to signal by that (Linux 5.3)."""
    import signal

    def try_it() -> None:
        pid, pidfd = _start_child(0)
        signal.pidfd_send_signal(pidfd, 0)
        os.close(pidfd)
        os.waitpid(pid, 0)

    return _tried("clone3, pidfd", try_it, "boot Linux 5.14 or later; look for a seccomp filter")


def try_namespaces(name: str, kind: str, flags: list[str], how: str) -> Check:
    """Try to make namespaces by the names of their flags; `how` mends a refusal."""
    from reconciler.linux.process import CloneFlag

    def try_it() -> None:
        pid, pidfd = _start_child(sum(CloneFlag[flag] for flag in flags))
        os.close(pidfd)
        os.waitpid(pid, 0)

    limit = f"/proc/sys/user/max_{kind}_namespaces"
    check = _tried(name, try_it, how)
    if check.status == FAIL and f"{errno.ENOSPC}" in check.found:
        return check._replace(remedy=f"allow more: sysctl -w {limit[10:].replace('/', '.')}=65536")
    return check


def _start_child(flags: int) -> tuple[int, int]:
    """Return (pid, pidfd) of a child in new namespaces that ends at once. Raises: OSError."""
    from reconciler.linux.process import CloneFlag, clone3

    pid, pidfd = clone3(CloneFlag(flags))
    if pid == 0:
        os._exit(0)
    return pid, pidfd


def _mount_setattr() -> Check:
    """Ask with a descriptor that is none: EBADF says that there is such a system call.

    To an ordinary user EPERM says the same.
    """
    from reconciler.linux.mount import set_mount_attributes

    def try_it() -> None:
        try:
            set_mount_attributes(-1, 0, recursive=False)
        except OSError as error:
            if error.errno != errno.EBADF and (error.errno != errno.EPERM or os.geteuid() == 0):
                raise

    return _tried("mount_setattr", try_it, "boot Linux 5.14 or later; look for a seccomp filter")


def _seccomp() -> Check:
    try:
        with open("/proc/sys/kernel/seccomp/actions_avail") as file:
            actions = set(file.read().split())
    except OSError:
        actions = set()
    if actions >= _SECCOMP_ACTIONS:
        return Check("seccomp", OK, "filters are available")
    how = "boot a kernel with CONFIG_SECCOMP_FILTER, or set security.seccomp: unconfined in specs"
    return Check("seccomp", FAIL, "the kernel has no filters", how)


def _overlayfs() -> Check:
    with open("/proc/filesystems") as file:
        has_it = any(line.split()[-1] == "overlay" for line in file)
    if has_it:
        return Check("overlayfs", OK, "available")
    what = "not there: rootfs.overlay cannot be used"
    return Check("overlayfs", WARN, what, "load it: modprobe overlay")


def _inotify() -> Check:
    """Compare the instances that this user has open with what it may have (inotify(7))."""
    with open("/proc/sys/fs/inotify/max_user_instances") as file:
        most = int(file.read())
    with open("/proc/sys/fs/inotify/max_user_watches") as file:
        watches = int(file.read())
    used = sum(map(_count_inotify, filter(str.isdigit, os.listdir("/proc"))))
    found = f"{used} of {most} instances used, {watches} watches at most"
    if used < most and watches >= 8192:
        return Check("inotify", OK, found)
    how = (
        "raise them, else watch polls: sysctl -w fs.inotify.max_user_instances=1024 "
        "fs.inotify.max_user_watches=524288"
    )
    return Check("inotify", WARN, found, how)


def _count_inotify(pid: str) -> int:
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
            return 0
        fds = os.listdir(f"/proc/{pid}/fd")
        return sum(os.readlink(f"/proc/{pid}/fd/{fd}") == "anon_inode:inotify" for fd in fds)
    except OSError:  # it has ended meanwhile
        return 0


def _tried(name: str, try_it: Callable[[], None], remedy: str) -> Check:
    try:
        try_it()
    except OSError as error:
        text = f"{errno.errorcode.get(error.errno or 0, '?')} {error.errno}: {error.strerror}"
        return Check(name, FAIL, text, remedy)
    return Check(name, OK, "works")
