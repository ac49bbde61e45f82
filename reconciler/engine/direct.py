"""Launches inits as children of the caller, without the monitor: same steps, same start code.

Taken by an Engine in place of the monitor's client, for the OCI command line, whose caller (conmon)
is a subreaper and waits for the init itself. Has no logs: the standard streams are the caller's.
Light: what starts a process is in `direct_start`, loaded for that alone.
`monitor.steps.launcher` shows the protocol.
"""

from __future__ import annotations

import os
import select

from reconciler.engine.failures import not_running
from reconciler.lean import Any, Callable, NamedTuple, Sequence, json, signal
from reconciler.linux.clock import wall_s
from reconciler.linux.proc import is_same_process
from reconciler.linux.process import read_exit_status
from reconciler.linux.reaping import collect
from reconciler.model.state import ExitStatus
from reconciler.monitor.run_file import read_run

GO_FIFO, STATUS_FIFO = "exec.fifo", "exec.status"
_PIPE_MAX = 65536


class LaunchOptions(NamedTuple):
    """How an init is launched.

    `waits`: it does not execute its command before `release`. `console_fd` is a socket for its
    terminal's master, or -1; `preserved` are descriptors from 3 on that it keeps; with
    `makes_keyring` it has a session keyring of its own. `uses_trampoline`: the command is executed
    from `linux.trampoline`, as the caller's own program is not a sealed copy.
    `runtime_hooks` is called with its pid once its namespaces are there and returns the state
    that its own hooks get, of which `container_hooks` run before its root is entered and
    `start_hooks` before its command.
    """

    waits: bool = False
    console_fd: int = -1
    preserved: int = 0
    runtime_hooks: Callable[[int], bytes] | None = None
    makes_keyring: bool = False
    container_hooks: Sequence[list[Any]] = ()
    start_hooks: Sequence[list[Any]] = ()
    uses_trampoline: bool = False


class DirectLauncher:
    """The launcher of one engine; `options` are those of the next start."""

    def __init__(self, run_dir: str, options: LaunchOptions | None = None) -> None:
        self._run_dir = run_dir
        self.options = options or LaunchOptions()

    def start(self, plan: dict[str, Any], limit: Callable[[], None]) -> dict[str, Any]:
        """Start a container from its launch plan; return `{pid, startTicks, startedAt}`.

        `limit` is called before there is an init.

        Raises: SetupFailed; what `limit` and `runtime_hooks` raise.
        """
        from reconciler.engine.direct_start import start_init

        limit()
        return start_init(plan, self.options)

    def execute(
        self, plan: dict[str, Any], streams: list[int], *, lasts: bool = True
    ) -> DirectProcess:
        """Start a further process in a container, as a child of the caller, once it runs.

        It lasts, whatever is asked for: it is no concern of ours how long its parent lives.
        `streams` as for `Container.execute`.

        Raises: SetupFailed.
        """
        from reconciler.engine.direct_start import start_process

        return DirectProcess(start_process(plan, streams, self.options.preserved))

    def wait(self, container_id: str, timeout_s: float | None) -> ExitStatus | None:
        """Return the exit of a container when it comes; None when the time is over before.

        It is known of a child of the caller's, else as far as the kernel tells.

        Raises: ContainerNotRunning when it never ran.
        """
        run = read_run(os.path.join(self._run_dir, "containers", container_id))
        if run is None:
            raise not_running(container_id, "wait for")
        try:
            pidfd = os.pidfd_open(run["pid"])
        except ProcessLookupError:
            return _exit_of(None)
        try:
            if not is_same_process(run["pid"], run["startTicks"]) and not _is_child(run["pid"]):
                return _exit_of(None)
            return _await_exit(run["pid"], pidfd, timeout_s)
        finally:
            os.close(pidfd)

    def pending_exit(self, container_id: str, pid: int) -> DirectProcess:
        """Return the init as what can be awaited. Raises: ContainerNotRunning when it is gone."""
        try:
            return DirectProcess(pid)
        except ProcessLookupError as error:
            raise not_running(container_id, "wait for") from error


class DirectProcess:
    """A further process in a container, a child of the caller; it outlives `close()`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable at the end of the process."""
        return self._pidfd

    def wait(self, timeout_s: float | None = None) -> ExitStatus | None:
        """Return how it ended, None when the time is over before."""
        return _await_exit(self.pid, self._pidfd, timeout_s)

    def close(self) -> None:
        """Let go of it."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1

    def __enter__(self) -> DirectProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_waiting(directory: str) -> bool:
    """Tell whether the init of the record directory waits for `release`, if it is alive."""
    return os.path.exists(os.path.join(directory, GO_FIFO))


def release(directory: str) -> dict[str, Any] | None:
    """Let a waiting init execute its command; return the step that failed, None when it runs.

    Raises: FileNotFoundError when it does not wait, ProcessLookupError when it has ended.
    """
    go, status = (os.path.join(directory, name) for name in (GO_FIFO, STATUS_FIFO))
    status_fd = os.open(status, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        try:
            go_fd = os.open(go, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != 6:  # ENXIO: nobody has it open
                raise
            raise ProcessLookupError(3, "its init has ended") from error
        os.write(go_fd, b"0")
        os.close(go_fd)
        messages = [json.loads(line) for line in read_all(status_fd).splitlines()]
        os.unlink(go)
        return next((message for message in messages if "step" in message), None)
    finally:
        os.close(status_fd)


def wait_status_of(pid: int) -> int:
    """Return the wait status of a child of ours, which has ended. Raises: ChildProcessError."""
    status = collect(pid)
    return int(signal.SIGKILL) if status is None else status


def read_some(status_fd: int) -> bytes:
    """Return what is said next, b"" at the end."""
    poller = select.poll()
    poller.register(status_fd, select.POLLIN)
    while True:
        poller.poll()
        try:
            return os.read(status_fd, _PIPE_MAX)
        except BlockingIOError:
            continue


def read_all(status_fd: int) -> bytes:
    """Return all that is said, to the end."""
    said = b""
    while chunk := read_some(status_fd):
        said += chunk
    return said


def _await_exit(pid: int, pidfd: int, timeout_s: float | None) -> ExitStatus | None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    if not poller.poll(None if timeout_s is None else timeout_s * 1000):
        return None
    try:
        return _exit_of(collect(pid))
    except ChildProcessError:
        return _exit_of(read_exit_status(pidfd))


def _is_child(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _exit_of(wait_status: int | None) -> ExitStatus:
    code = number = None
    if wait_status is not None:
        exit_code = os.waitstatus_to_exitcode(wait_status)
        code, number = (exit_code, None) if exit_code >= 0 else (None, -exit_code)
    return ExitStatus(code=code, signal=number, oom=False, at=wall_s())
