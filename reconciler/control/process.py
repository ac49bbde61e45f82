"""What the kernel shows of a container's init, and the little of it that can be mended live.

Called by observe and execute. One file is read for every init, `/proc/PID/status`; of two more
only what a spec names. Not looked at: the command line and the environment, which a program may
rewrite; supplementary groups, which a program may drop. Source: proc(5), prlimit(2).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

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


def read_process(pid: int, config: Config) -> dict[str, Value]:
    """Return fields of a spec as the kernel shows them of an init; none when it has ended.

    `security.capabilities` are the names in its permitted, effective or bounding set, `user` its
    real, effective and saved user ids, `rlimits.NAME` soft and hard limit (None: unlimited).

    Raises: PermissionDenied, SystemError.
    """
    try:
        shown = _parse_status(read_file(f"/proc/{pid}/status"))
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
    """Give an init its oom_score_adj, hard limits and host name again, those of `paths`.

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
    except ProcessLookupError as error:
        raise _ended(name) from error
    except OSError as error:
        raise from_os_error(error, f"cannot mend the process of {name}", container=name) from error
    finally:
        os.close(directory)


def _parse_status(status: bytes) -> dict[str, Value]:
    mask = 0
    for name in (b"CapPrm", b"CapEff", b"CapBnd"):
        mask |= int(_field(status, name), 16)
    shown: dict[str, Value] = {
        "user": tuple(map(int, _field(status, b"Uid").split()[:3])),
        "security.capabilities": _capabilities(mask),
        "security.noNewPrivileges": _field(status, b"NoNewPrivs") == b"1",
    }
    if seccomp := _field(status, b"Seccomp"):  # not with CONFIG_SECCOMP=n
        shown["security.seccomp"] = "unconfined" if seccomp == b"0" else "default"
    return shown


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
