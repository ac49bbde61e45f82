"""User namespaces: the id maps of a process that was cloned into one.

Called by the monitor's launch and by what makes idmapped mounts. Source: user_namespaces(7),
newuidmap(1), newgidmap(1).
"""

from __future__ import annotations

import os

from reconciler.linux.proc import read_file, write_file
from reconciler.linux.process import CloneFlag, clone3
from reconciler.linux.programs import run_program

_HELPERS = {"uid": "newuidmap", "gid": "newgidmap"}
_PLACES = ("/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin")
_HELPER_TIMEOUT_S = 10


def write_id_maps(pid: int, maps: dict[str, str]) -> None:
    """Write `uid` and `gid` maps (lines of inside, outside, size) for the process `pid`.

    An ordinary user may map its own ids alone; for more the helpers of the package uidmap are
    run, which go by /etc/subuid and /etc/subgid.

    Raises: OSError.
    """
    is_root = os.geteuid() == 0
    for kind in ("gid", "uid"):
        text = maps[kind]
        own = os.getegid() if kind == "gid" else os.geteuid()
        if is_root or _is_own_alone(text, own):
            if kind == "gid" and not is_root:
                write_file(f"/proc/{pid}/setgroups", "deny")
            write_file(f"/proc/{pid}/{kind}_map", text)
        else:
            _run_helper(_HELPERS[kind], pid, text)


def open_user_namespace(maps: dict[str, str]) -> int:
    """Return a descriptor of a new user namespace with these maps, for an idmapped mount.

    It is that of a child that has ended by then. Raises: OSError.
    """
    gate_read, gate_write = os.pipe2(os.O_CLOEXEC)
    pid, pidfd = clone3(int(CloneFlag.NEWUSER))
    if pid == 0:
        os.close(gate_write)
        os.read(gate_read, 1)
        os._exit(0)
    try:
        number = _number_in_proc(pidfd)
        write_id_maps(number, maps)
        return os.open(f"/proc/{number}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(gate_read)
        os.close(gate_write)
        os.close(pidfd)
        os.waitpid(pid, 0)


def _number_in_proc(pidfd: int) -> int:
    """Return the pid that the mounted procfs, maybe another pid namespace's, has for a pidfd."""
    lines = read_file(f"/proc/self/fdinfo/{pidfd}").decode().splitlines()
    return next(int(line.split(":")[1]) for line in lines if line.startswith("Pid:"))


def _is_own_alone(text: str, own: int) -> bool:
    lines = text.splitlines()
    return len(lines) == 1 and lines[0].split()[1:] == [str(own), "1"]


def _run_helper(name: str, pid: int, text: str) -> None:
    candidates = [f"{place}/{name}" for place in _PLACES]
    path = next((one for one in candidates if os.access(one, os.X_OK)), None)
    if path is None:
        raise FileNotFoundError(2, f"{name} is missing; install the package uidmap", name)
    failure = run_program(path, [name, str(pid), *text.split()], [], b"", _HELPER_TIMEOUT_S)
    if failure is not None:
        raise PermissionError(1, f"{name} {failure} (see /etc/sub{name[3:6]})", path)
