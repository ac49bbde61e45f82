"""Steps by which a further process joins a running container.

    monitor ---- clone3 into the container's cgroup ----> joiner
                                                            | setns: all namespaces of the init
                                                            | streams, limits, identity
                 clone(CLONE_PARENT) ---------------------> | process in the pid namespace
    monitor <--- {"pid": N} on the status pipe -------------| joiner ends
                                                              process: session, filter, execve

A pid namespace takes effect for children alone (setns(2)), hence the two. CLONE_PARENT makes
the process the monitor's own child, whose exit it can await. Who is inside with CAP_SYS_PTRACE may
trace the process from its first moment on (CVE-2016-9962): by then it has no more rights than the
container, and nothing of the host's.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from reconciler.lean import NamedTuple, json, socket
from reconciler.linux import process
from reconciler.linux.calls import SYS
from reconciler.linux.proc import is_same_process
from reconciler.monitor.steps.context import Context
from reconciler.monitor.steps.launcher import CloseOthers
from reconciler.monitor.steps.places import open_terminal_master

_STREAMS = (0, 1, 2)
_NUMBER_MAX = 32
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441


class DropDescriptors(NamedTuple):
    """Close all that is the monitor's, before anyone inside can look (CVE-2016-9962)."""

    def describe(self) -> str:
        return "close the monitor's descriptors"

    def prepare_anew(self, context: Context) -> None:
        CloseOthers(len(_STREAMS), []).prepare_anew(context)


class JoinNamespaces(NamedTuple):
    """Enter the namespaces of the init, which must still be the process that it was.

    `enters_root`: its root too, which the host's mount namespace does not bring along.
    """

    pid: int
    start_ticks: int
    flags: int
    enters_root: bool = False

    def describe(self) -> str:
        return "join the container's namespaces"

    def execute(self, context: Context) -> None:
        pidfd = os.pidfd_open(self.pid)
        if not is_same_process(self.pid, self.start_ticks):
            raise ProcessLookupError(3, "the container's init has ended")
        if self.enters_root:  # as working directory it is there once /proc is not
            os.chdir(f"/proc/{self.pid}/root")
        if self.flags:
            process.setns(pidfd, self.flags)
        if self.enters_root:
            os.chroot(".")
        os.close(pidfd)
        os.chdir("/")


class ForkInside(NamedTuple):
    """Go on in a child that is in the pid namespace; tell the monitor its pid and end."""

    def describe(self) -> str:
        return "fork into the pid namespace"

    def execute(self, context: Context) -> None:
        told = None
        if context.listener is not None:  # who takes notifications wants the host's number
            os.close(context.host_proc)
            told = os.pipe2(os.O_CLOEXEC)
        process.prctl(process.PR_SET_DUMPABLE, 0)  # a new identity may have changed it (prctl(2))
        pid = process.clone_sibling()
        if pid:
            if told is not None:
                os.write(told[1], str(pid).encode())
            os.write(context.status_fd, json.dumps({"pid": pid}).encode() + b"\n")
            os._exit(0)
        os.setsid()
        if told is not None:
            context.own_pid = int(os.read(told[0], _NUMBER_MAX))
            for fd in told:
                os.close(fd)


class UseStreams(NamedTuple):
    """Take the descriptors that came with the request as standard streams."""

    def describe(self) -> str:
        return "take over the standard streams"

    def prepare_anew(self, context: Context) -> None:
        for target, fd in zip(_STREAMS, context.streams, strict=True):
            if fd != target:
                context.calls.add(SYS.dup3, fd, target, 0)


class OpenTerminal(NamedTuple):
    """Open a terminal of the container's own and send its master over the socket that came."""

    rows: int
    columns: int
    uid: int

    def describe(self) -> str:
        return "open a terminal"

    def execute(self, context: Context) -> None:
        master = open_terminal_master(context)
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
        size = struct.pack("4H", self.rows, self.columns, 0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        os.fchown(slave, self.uid, -1)
        with socket.socket(fileno=os.dup(context.streams[0])) as sock:
            socket.send_fds(sock, [b"terminal"], [master])
        os.close(master)
        for target in _STREAMS:
            os.dup2(slave, target)
        os.close(slave)


class TakeTerminal(NamedTuple):
    """Make the terminal that is standard input the controlling one of the session."""

    def describe(self) -> str:
        return "take the terminal"

    def execute(self, context: Context) -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class SendSocket(NamedTuple):
    """Make a TCP socket, send it over the socket that came, and end."""

    family: int

    def describe(self) -> str:
        return "make a socket"

    def execute(self, context: Context) -> None:
        with (
            socket.socket(self.family, socket.SOCK_STREAM) as made,
            socket.socket(fileno=os.dup(context.streams[0])) as sock,
        ):
            socket.send_fds(sock, [b"socket"], [made.fileno()])
        os._exit(0)


class ConnectUnix(NamedTuple):
    """Connect to a Unix socket at a path in the root of a process, hang up, and end."""

    pid: int
    path: str
    timeout_s: float

    def describe(self) -> str:
        return f"connect to {self.path}"

    def execute(self, context: Context) -> None:
        from reconciler.linux.unix_sockets import connect_unix_in_root_of

        connect_unix_in_root_of(self.pid, self.path, self.timeout_s)
        os._exit(0)


class End(NamedTuple):
    """End, when the steps before were all that was to be done."""

    def describe(self) -> str:
        return "end"

    def execute(self, context: Context) -> None:
        os._exit(0)


STEPS = (
    *(DropDescriptors, JoinNamespaces, ForkInside, UseStreams, OpenTerminal, TakeTerminal),
    *(SendSocket, ConnectUnix, End),
)
