"""What the kernel shows of a container's init, and the little of it that can be mended live.

Called by observe and execute. One file is read for every init, `/proc/PID/status`; of two more
only what a spec names. Not looked at: the command line and the environment, which a program may
rewrite. Source: proc(5), prlimit(2).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from reconciler.control.isolation import Host, read_isolation, set_scheduling
from reconciler.engine.namespaces import joined_path
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.linux.proc import is_same_process, read_file
from reconciler.linux.uts import write_hostname
from reconciler.model.config import Config
from reconciler.model.state import ProcessId
from reconciler.model.value import Value

_LIMIT_NAMES = {
    "as": "address space",
    "core": "core file size",
    "cpu": "cpu time",
    "data": "data size",
    "fsize": "file size",
    "locks": "file locks",
    "memlock": "locked memory",
    "msgqueue": "msgqueue size",
    "nice": "nice priority",
    "nofile": "open files",
    "nproc": "processes",
    "rss": "resident set",
    "rtprio": "realtime priority",
    "rttime": "realtime timeout",
    "sigpending": "pending signals",
    "stack": "stack size",
}


def read_process(
    pid: int,
    config: Config,
    host: Host | None = None,
    before: Mapping[str, Value] = MappingProxyType({}),
) -> dict[str, Value]:
    """Return fields of a spec as the kernel shows them of an init; none when it has ended.

    `security.capabilities` are the names in its permitted, effective, inheritable or bounding set,
    `user` its real, effective and saved user ids, `groups` those that its spec does not give,
    `rlimits.NAME` soft and hard limit (None: unlimited); the rest as `read_isolation`. `before` is
    what was shown of the same init.

    Raises: PermissionDenied, SystemError.
    """
    try:
        status = read_file(f"/proc/{pid}/status")
        shown = _parse_status(status)
        starter = (host or Host()).links_of(int(_field(status, b"PPid")))
        shown |= read_isolation(pid, config, starter, before)
        if foreign := _foreign_groups(pid, config, status):
            shown["groups"] = foreign
        if config.oom_score_adj is not None:
            shown["oomScoreAdj"] = int(read_file(f"/proc/{pid}/oom_score_adj"))
        if config.rlimits:
            names = [limit.type.lower() for limit in config.rlimits]
            shown |= _parse_limits(read_file(f"/proc/{pid}/limits").decode(), names)
        return shown
    except (FileNotFoundError, ProcessLookupError):
        return {}
    except OSError as error:
        raise from_os_error(error, f"cannot look at process {pid}") from error


def mend_process(name: str, init: ProcessId, config: Config, paths: Iterable[str]) -> None:
    """Give an init its oom_score_adj, hard limits, host name and scheduling again, by `paths`.

    Raises: PermissionDenied, ContainerNotRunning, SystemError.
    """
    try:
        # The directory stays that of the process which is checked, whoever has its pid later.
        directory = os.open(f"/proc/{init.pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise _ended(name) from error
    try:
        if not is_same_process(init.pid, init.start_ticks):
            raise _ended(name)
        for path in paths:
            if path == "oomScoreAdj":
                _write_oom_score(directory, config)
            elif path.startswith("rlimits."):
                _set_limit(init.pid, path.removeprefix("rlimits."), config)
            elif path == "hostname":
                write_hostname(directory, config.hostname or name)
            elif path in ("scheduler", "ioPriority"):
                set_scheduling(init.pid, config, path)
    except ProcessLookupError as error:
        raise _ended(name) from error
    except OSError as error:
        raise from_os_error(error, f"cannot mend the process of {name}", container=name) from error
    finally:
        os.close(directory)


def _parse_status(status: bytes) -> dict[str, Value]:
    mask = 0
    for name in (b"CapInh", b"CapPrm", b"CapEff", b"CapBnd"):
        mask |= int(_field(status, name), 16)
    shown: dict[str, Value] = {
        "user": tuple(map(int, _field(status, b"Uid").split()[:3])),
        "security.capabilities": _capabilities(mask),
        "security.noNewPrivileges": _field(status, b"NoNewPrivs") == b"1",
    }
    if seccomp := _field(status, b"Seccomp"):  # not with CONFIG_SECCOMP=n
        shown["security.seccomp"] = "unconfined" if seccomp == b"0" else "default"
    return shown


def _foreign_groups(pid: int, config: Config, status: bytes) -> tuple[str, ...]:
    """Return the supplementary groups of an init that its Config does not give it.

    Names are looked up only where numbers do not explain what it has. Not told of what an ordinary
    user starts, or of who has joined a user namespace: how its ids are mapped is not known here.
    """
    found = set(map(int, _field(status, b"Groups").split()))
    found.discard(int(_field(status, b"Gid").split()[0]))
    if not found or os.geteuid() != 0 or joined_path(config, "user") is not None:
        return ()
    given = {int(group) for group in config.groups if group.isdecimal()}
    if found <= _outside(config, given):
        return ()
    from reconciler.engine.users import look_up_user  # ctypes, which is slow to load

    try:
        identity = look_up_user(f"/proc/{pid}/root", config.user_or_default(), config.groups)
    except ReconcilerError:  # whose names its root no longer has
        return ()
    return tuple(map(str, sorted(found - _outside(config, set(identity.groups)))))


def _outside(config: Config, groups: set[int]) -> set[int]:
    """Return what groups of the container are on the host."""
    mappings = config.isolation.gid_mappings
    if not mappings:
        return groups
    return {
        one.host_id + group - one.container_id
        for group in groups
        for one in mappings
        if 0 <= group - one.container_id < one.size
    }


def _field(status: bytes, name: bytes) -> bytes:
    """Return the text of a line `NAME:\\tTEXT`, nothing where there is none.

    The first line's text is a name that the program chooses; it cannot hold a line break.
    """
    begin = status.find(b"\n" + name + b":\t")
    if begin < 0:
        return b""
    return status[begin + len(name) + 3 : status.index(b"\n", begin + 1)]


def _capabilities(mask: int) -> tuple[str, ...]:
    if mask == 0:  # the default; naming them takes ctypes, which is slow to load
        return ()
    from reconciler.linux.capabilities import NAMES

    return tuple(sorted(name for number, name in enumerate(NAMES) if mask >> number & 1))


def _parse_limits(text: str, names: Iterable[str]) -> dict[str, Value]:
    """Return `rlimits.NAME` from lines as `Max open files   1024   4096   files`."""
    by_name = {line[4:26].strip().lower(): line[26:].split() for line in text.splitlines()}
    return {
        f"rlimits.{name}": tuple(map(_limit, by_name[_LIMIT_NAMES[name]][:2])) for name in names
    }


def _limit(text: str) -> int | None:
    return None if text == "unlimited" else int(text)


def _write_oom_score(directory: int, config: Config) -> None:
    fd = os.open("oom_score_adj", os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.write(fd, str(config.oom_score_adj).encode())
    finally:
        os.close(fd)


def _set_limit(pid: int, name: str, config: Config) -> None:
    import resource

    (wanted,) = (limit for limit in config.rlimits if limit.type.lower() == name)
    number = getattr(resource, f"RLIMIT_{wanted.type}")
    infinity = resource.RLIM_INFINITY
    hard = infinity if wanted.hard is None else wanted.hard
    soft, _ = resource.prlimit(pid, number)
    is_less = hard == infinity or (soft != infinity and soft <= hard)
    resource.prlimit(pid, number, (soft if is_less else hard, hard))


def _ended(name: str) -> ReconcilerError:
    return ReconcilerError(
        ErrorCode.ContainerNotRunning,
        f"cannot mend the process of {name}: it has ended",
        container=name,
        operation="update",
    )
