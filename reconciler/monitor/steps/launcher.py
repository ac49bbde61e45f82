"""Steps of an init that is launched without the monitor: it waits for its launcher, runs hooks.

    launcher (create)                            init
      |<-- {"waits": "runtime"} on the status pipe -| AwaitRuntime, before the root is entered
      | runs prestart and createRuntime hooks       |
      |--- the container's state on the go pipe --->| goes on; RunHooks: createContainer
      |<-- {"waits": "start"} ----------------------| AwaitStart, before execve
    start
      |--- one byte into the FIFO exec.fifo ------->| RunHooks: startContainer; execve
      |<-- a failed step, then end of file, on the FIFO exec.status

The descriptors are inherited from the launcher and close at execve.
"""

from __future__ import annotations

import errno
import os
import stat

from reconciler.lean import Any, NamedTuple, json, signal
from reconciler.linux.calls import SYS
from reconciler.linux.programs import run_program
from reconciler.monitor.steps.context import Context
from reconciler.monitor.steps.process import Execute, give_streams

_STATE_MAX = 2**20
_ENDING = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1),
    *(signal.SIGUSR2, signal.SIGALRM),
)
_FD_MAX = 2**31 - 1


class CloseOthers(NamedTuple):
    """Close every descriptor from `first` on but those named: locks and files of the launcher.

    An init that waits would hold them for as long, and /proc/self/fd/N would lead to them, as
    working directory or mount point (CVE-2024-21626).
    """

    first: int
    kept: list[int]

    def describe(self) -> str:
        return "close the launcher's descriptors"

    def prepare_anew(self, context: Context) -> None:
        first = self.first
        kept = {*self.kept, context.status_fd, *context.streams, *context.trees.values()}
        for fd in sorted(kept):
            if fd > first:
                context.calls.add(SYS.close_range, first, fd - 1, 0)
            first = max(first, fd + 1)
        context.calls.add(SYS.close_range, first, _FD_MAX, 0)


class GiveStreams(NamedTuple):
    """Give the standard streams of a process that joins to its user, as `KeepStreams` an init's."""

    uid: int

    def describe(self) -> str:
        return "give the standard streams to the user"

    def execute(self, context: Context) -> None:
        give_streams(self.uid)


class AwaitRuntime(NamedTuple):
    """Wait until the launcher has done its part; take over the container's state for hooks."""

    read_fd: int
    write_fd: int

    def describe(self) -> str:
        return "wait for the runtime"

    def execute(self, context: Context) -> None:
        os.close(self.write_fd)  # else the end of the launcher would not be seen
        _tell(context, "runtime")
        said = b""
        while chunk := os.read(self.read_fd, _STATE_MAX):
            said += chunk
        os.close(self.read_fd)
        if not said:
            raise BrokenPipeError(32, "the runtime has ended")
        context.state = json.loads(said)


class AwaitGate(NamedTuple):
    """Wait for a byte from whoever starts the container: its cgroup is ready."""

    def describe(self) -> str:
        return "wait for the limits"

    def execute(self, context: Context) -> None:
        gate = context.streams[0]
        if not os.read(gate, 1):
            raise OSError(errno.ECANCELED, "whoever starts it has given up")
        os.close(gate)


class AwaitStart(NamedTuple):
    """Wait for the start of the container, once it is sure that its command is there.

    A signal that would end any other process ends this one.
    """

    go_fd: int
    status_fd: int
    argv: list[str]
    env: dict[str, str]

    def describe(self) -> str:
        return "execute " + "".join(self.argv[:1])

    def execute(self, context: Context) -> None:
        if self.argv:  # else there is nothing to start, which `start` tells
            _check(Execute(self.argv, self.env).find())
        _tell(context, "start")
        for number in _ENDING:  # an init has no default actions (pid_namespaces(7))
            signal.signal(number, _end)
        os.read(self.go_fd, 1)
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        os.close(context.status_fd)
        context.status_fd = self.status_fd


class RunHooks(NamedTuple):
    """Run hooks: [path, arguments, environment, seconds or None], the state on their input."""

    kind: str
    status: str
    hooks: list[list[Any]]

    def describe(self) -> str:
        return f"run the {self.kind} hooks"

    def execute(self, context: Context) -> None:
        state = json.dumps((context.state or {}) | {"status": self.status}).encode()
        for path, args, env, timeout_s in self.hooks:
            failure = run_program(path, args, env, state, timeout_s)
            if failure is not None:
                raise OSError(0, f"the hook {path} {failure}", path)


def _end(number: int, _: object) -> None:
    os._exit(128 + number)


def _check(path: str) -> None:
    """Refuse what is no executable file. Where a filter forbids to look, execve(2) will tell."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    except OSError:
        return
    if not stat.S_ISREG(mode) or (os.access(path, os.F_OK) and not os.access(path, os.X_OK)):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def _tell(context: Context, point: str) -> None:
    os.write(context.status_fd, json.dumps({"waits": point}).encode() + b"\n")
