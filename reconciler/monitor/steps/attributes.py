"""Steps for what an OCI config says of a process beyond identity: its scheduling, labels, keyring,
and namespaces that are joined or adjusted.

What is written below /proc goes to the host's procfs, before the pivot, and is checked to be the
kernel's: a container's own may be something else (CVE-2025-52881).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios

from reconciler.lean import Any, NamedTuple, socket
from reconciler.linux import mount, process
from reconciler.linux.proc import parameter_path
from reconciler.linux.procfs import write_procfs
from reconciler.monitor.steps.context import Context
from reconciler.monitor.steps.places import attach, make_place, open_terminal_master

_NEWTIME = int(process.CloneFlag.NEWTIME)
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441


class JoinNamespace(NamedTuple):
    """Enter the namespace of the file `path`; `flag` is its CLONE_NEW*."""

    path: str
    flag: int

    def describe(self) -> str:
        return f"join the namespace {self.path}"

    def execute(self, context: Context) -> None:
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            process.setns(fd, self.flag)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from error
        finally:
            os.close(fd)


class BecomeRootInside(NamedTuple):
    """Become root of the user namespace, or its first user, to whom what is made then belongs."""

    uid: int = 0
    gid: int = 0

    def describe(self) -> str:
        return f"become {self.uid}:{self.gid} of the user namespace"

    def execute(self, context: Context) -> None:
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


class EnterTimeNamespace(NamedTuple):
    """Enter a new time namespace, offsets as [clock, seconds, nanoseconds] (time_namespaces(7))."""

    offsets: list[tuple[str, int, int]]

    def describe(self) -> str:
        return "enter a time namespace"

    def execute(self, context: Context) -> None:
        process.unshare(_NEWTIME)
        if self.offsets:
            lines = "".join(f"{clock} {secs} {nanos}\n" for clock, secs, nanos in self.offsets)
            write_procfs("/proc/self/timens_offsets", lines)
        JoinNamespace("/proc/self/ns/time_for_children", _NEWTIME).execute(context)


class SetDomainname(NamedTuple):
    """Set the NIS domain name of the UTS namespace."""

    name: str

    def describe(self) -> str:
        return f"set domain name {self.name}"

    def execute(self, context: Context) -> None:
        process.set_domainname(self.name)


class WriteSysctls(NamedTuple):
    """Write kernel parameters of the container's own namespaces (sysctl(5)): [name, value]."""

    values: list[list[str]]

    def describe(self) -> str:
        return "set " + " ".join(f"{name}={value}" for name, value in self.values)

    def execute(self, context: Context) -> None:
        for name, value in self.values:
            write_procfs(parameter_path(name), value)


class NewKeyring(NamedTuple):
    """Join a new session keyring, so that none of the caller's keys is there (keyrings(7)).

    It has no name, by which another could have made it before. Where the kernel has no keys, or a
    filter that the container inherits refuses them, there is nothing to hide.
    """

    def describe(self) -> str:
        return "make a session keyring"

    def prepare(self, context: Context) -> None:
        with context.calls.block() as none:
            unknown = {errno.ENOSYS: none, errno.EPERM: none}
            process.join_new_session_keyring(context.calls, unknown)


class SetPersonality(NamedTuple):
    """Set the execution domain."""

    persona: int

    def describe(self) -> str:
        return f"set the personality {self.persona:#x}"

    def execute(self, context: Context) -> None:
        process.set_personality(self.persona)


class SetScheduling(NamedTuple):
    """Set policy, flags, nice value, priority and times (ns), as sched_setattr(2) takes them."""

    policy: int
    flags: int
    nice: int
    priority: int
    times_ns: list[int]

    def describe(self) -> str:
        return "set the scheduling policy"

    def execute(self, context: Context) -> None:
        runtime, deadline, period = self.times_ns
        times = (runtime, deadline, period)
        process.set_scheduler(self.policy, self.flags, self.nice, self.priority, times)


class SetIoPriority(NamedTuple):
    """Set the I/O class and priority."""

    io_class: int
    priority: int

    def describe(self) -> str:
        return "set the I/O priority"

    def execute(self, context: Context) -> None:
        process.set_io_priority(self.io_class, self.priority)


class SetAffinity(NamedTuple):
    """Set the CPUs that the process may run on."""

    cpus: list[int]

    def describe(self) -> str:
        return "set the CPU affinity " + ",".join(map(str, self.cpus))

    def execute(self, context: Context) -> None:
        os.sched_setaffinity(0, self.cpus)


class SetMemoryPolicy(NamedTuple):
    """Set the NUMA memory policy, `mode` with its flags; the command inherits it."""

    mode: int
    nodes: list[int]

    def describe(self) -> str:
        return "set_mempolicy"

    def execute(self, context: Context) -> None:
        process.set_memory_policy(self.mode, self.nodes)


class SetLabel(NamedTuple):
    """Have the command run under a label of a security module; `path` is its file in /proc."""

    path: str
    label: str

    def describe(self) -> str:
        return f"set the label {self.label}"

    def execute(self, context: Context) -> None:
        write_procfs(self.path, self.label)


class ConnectListener(NamedTuple):
    """Connect to the socket that takes seccomp's notifications, while its path is in sight.

    What goes with the descriptor is the specification's container process state; a `state` without
    a pid gets that of the process itself.
    """

    path: str
    metadata: str
    state: dict[str, Any]

    def describe(self) -> str:
        return f"connect to the seccomp listener {self.path}"

    def execute(self, context: Context) -> None:
        context.listener_message = {
            "ociVersion": self.state["ociVersion"],
            "fds": ["seccompFd"],
            "metadata": self.metadata,
            "state": self.state,
        }
        context.host_proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
        context.listener = sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(self.path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from error


class OpenConsole(NamedTuple):
    """Open a terminal of the container's own as its standard streams and as /dev/console.

    The master goes over the socket `context.streams[0]`, with its name as runc sends it.
    """

    rows: int
    columns: int
    uid: int

    def describe(self) -> str:
        return "open the console"

    def execute(self, context: Context) -> None:
        master = open_terminal_master(context)
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        if self.rows or self.columns:
            size = struct.pack("4H", self.rows, self.columns, 0, 0)
            fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        os.fchown(slave, self.uid, -1)
        self._mount(context, slave)
        with socket.socket(fileno=os.dup(context.streams[0])) as sock:
            socket.send_fds(sock, [b"/dev/ptmx"], [master])
        os.close(master)
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for target in (0, 1, 2):
            os.dup2(slave, target)
        os.close(slave)

    def _mount(self, context: Context, slave: int) -> None:
        """Mount the very terminal on /dev/console: no name is looked up (CVE-2025-52565)."""
        target = make_place(context, "/dev/console", is_directory=False, is_plain=True)
        tree = mount.clone_tree_at(slave, recursive=False)
        attach(tree, target, "/dev/console")
        os.close(tree)
        os.close(target)


STEPS = (
    JoinNamespace,
    BecomeRootInside,
    EnterTimeNamespace,
    SetDomainname,
    WriteSysctls,
    NewKeyring,
    SetPersonality,
    SetScheduling,
    SetIoPriority,
    SetAffinity,
    SetMemoryPolicy,
    SetLabel,
    ConnectListener,
    OpenConsole,
)
