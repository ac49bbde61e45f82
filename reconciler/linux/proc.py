"""/proc as plain values: process identity and state, boot id. No ctypes, cheap to import.

Called by the monitor, the engine and the control loop. Source: proc(5).
"""

from __future__ import annotations

import os

from reconciler.lean import NamedTuple, cache


class ProcStat(NamedTuple):
    """What /proc/PID/stat says: state letter, parent, start time in clock ticks since boot.

    `exit_status` is the wait status (field 52), meaningful for a zombie that we may ptrace.
    """

    state: str
    parent_pid: int
    start_ticks: int
    exit_status: int

    def is_alive(self) -> bool:
        """Tell whether the process has neither ended nor is being reaped."""
        return self.state not in "ZX"


def read_file(path: str) -> bytes:
    """Return the whole of a small file with three system calls. Raises: OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, 65536)
        while len(data) % 65536 == 0 and data:
            more = os.read(fd, 65536)
            if not more:
                break
            data += more
        return data
    finally:
        os.close(fd)


def read_lists(path: str) -> bytes:
    """Return the whole of a file of the kernel's that may be longer than a page, as mountinfo is.

    Each read(2) gives no more than a page of whole lines, however much is asked for.

    Raises: OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def read_stat(pid: int) -> ProcStat | None:
    """Return the process's stat, or None when there is no such process."""
    try:
        text = read_file(f"/proc/{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return ProcStat(fields[0].decode(), int(fields[1]), int(fields[19]), int(fields[49]))


@cache
def read_boot_id() -> str:
    """Return this boot's id. Raises: OSError."""
    return read_file("/proc/sys/kernel/random/boot_id").decode().strip()


def is_same_process(pid: int, start_ticks: int) -> bool:
    """Tell whether `pid` is still the process that started at `start_ticks` and has not ended."""
    stat = read_stat(pid)
    return stat is not None and stat.start_ticks == start_ticks and stat.is_alive()


def pids_beside(pid: int) -> list[int]:
    """Return the pids, as procfs numbers them, of all processes in the pid namespace of `pid`.

    Processes of other users that may not be looked at are left out. Raises: OSError for `pid`.
    """
    wanted = os.readlink(f"/proc/{pid}/ns/pid")
    if wanted == os.readlink("/proc/self/ns/pid"):
        return [pid]  # with the caller's own namespace nobody knows whose the others are
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                if os.readlink(f"/proc/{name}/ns/pid") == wanted:
                    found.append(int(name))
            except OSError:
                continue  # it has ended, or is somebody else's
    return sorted(found)


def parameter_path(name: str) -> str:
    """Return the file of a kernel parameter: `net.ipv4.conf.eth0/1.forwarding` has a dot in it."""
    return "/proc/sys/" + name.translate({ord("."): "/", ord("/"): "."})


def write_file(path: str, text: str) -> None:
    """Write a file of procfs, cgroupfs or sysfs in one call. Raises: OSError with the path."""
    write_and_close(os.open(path, os.O_WRONLY | os.O_CLOEXEC), path, text)


def write_and_close(fd: int, path: str, text: str) -> None:
    """Write to the descriptor of `path` in one call. Raises: OSError with the path."""
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(fd)


def is_first_user_namespace() -> bool:
    """Tell whether ids are the host's: all are mapped to themselves (user_namespaces(7))."""
    return read_file("/proc/self/uid_map").split() == [b"0", b"0", b"4294967295"]
