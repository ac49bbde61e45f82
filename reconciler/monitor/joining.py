"""Clones a child into namespaces that exist: what `launch` does for those that steps cannot join.

A pid namespace takes only children that are born after setns(2). A user namespace that is joined is
to own the namespaces that are new, and from inside it the host's cannot be entered any more: a
helper joins all of them, as root of the host, the user namespace last, and clones its sibling.

    launcher                         helper                       init
      |--- clone3 ------------------->| setns: network, .. pid, user
      |                               |--- clone3, CLONE_PARENT -->| born in them, in new ones
      |<-- its pid, or an error ------| _exit                      | runs its steps
"""

from __future__ import annotations

import os

from reconciler.lean import Sequence, json
from reconciler.linux.process import CloneFlag, clone3, setns

_NEWPID, _NEWUSER = int(CloneFlag.NEWPID), int(CloneFlag.NEWUSER)
_PARENT = int(CloneFlag.PARENT)
_MESSAGE_MAX = 65536
_KILLED = '[3, "the helper that joins them was killed", null]'

Joins = Sequence[tuple[str, int]]


def clone_into(joins: Joins, flags: int, cgroup_fd: int | None) -> tuple[int, int]:
    """Clone a child into the namespaces of files (path, its CLONE_NEW*) and new ones (`flags`).

    Without a user namespace only one of pids can be among them. Returns as `clone3`.

    Raises: OSError with the path.
    """
    if any(flag == _NEWUSER for _, flag in joins):
        return _clone_sibling(joins, flags, cgroup_fd)
    if not joins:
        return clone3(flags, cgroup_fd)
    ((path, _),) = joins
    own, other = _open("/proc/self/ns/pid"), _open(path)
    pid = -1
    try:
        _enter(other, _NEWPID, path)
        try:
            pid, pidfd = clone3(flags, cgroup_fd)
        finally:
            if pid:  # the child is to stay there
                setns(own, _NEWPID)
    finally:
        os.close(own)
        os.close(other)
    return pid, pidfd


def _clone_sibling(joins: Joins, flags: int, cgroup_fd: int | None) -> tuple[int, int]:
    said_read, said_write = os.pipe2(os.O_CLOEXEC)
    try:
        helper, helper_fd = clone3(0)
        if helper == 0 and _help(joins, flags, cgroup_fd, said_write):
            return 0, -1
        os.close(said_write)
        said_write = -1
        answer = json.loads(os.read(said_read, _MESSAGE_MAX) or _KILLED)
        os.waitpid(helper, 0)
        os.close(helper_fd)
    finally:
        os.close(said_read)
        if said_write >= 0:
            os.close(said_write)
    if isinstance(answer, list):
        number, text, path = answer
        raise OSError(number, text, path)
    return answer, os.pidfd_open(answer)


def _help(joins: Joins, flags: int, cgroup_fd: int | None, said: int) -> bool:
    """Join all, clone, tell and end; in the child that is cloned return True."""
    answer: object = None
    try:
        files = [(_open(path), flag, path) for path, flag in joins]  # names of the host's mounts
        for fd, flag, path in files:
            _enter(fd, flag, path)
        pid, _ = clone3(flags | _PARENT, cgroup_fd)
        if pid == 0:
            return True
        answer = pid
    except OSError as error:
        answer = [error.errno, error.strerror, error.filename]
    except BaseException as error:  # noqa: BLE001 - the helper must not outlive its task
        answer = [0, f"internal error: {error!r}", None]
    os.write(said, json.dumps(answer).encode())
    os._exit(0)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _enter(fd: int, flag: int, path: str) -> None:
    try:
        setns(fd, flag)
    except OSError as error:
        text = f"cannot join the namespace: {error.strerror}"
        raise OSError(error.errno, text, path) from error
