"""Launches inits as children of the caller, without the monitor: same steps, same start code.

Taken by an Engine in place of the monitor's client, for the OCI command line, whose caller (conmon)
is a subreaper and waits for the init itself. Has no logs: the standard streams are the caller's.
The calling process must have a single thread. `monitor.steps.launcher` shows the protocol.
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from reconciler.engine.failures import SetupFailed, not_running
from reconciler.linux.clock import wall_s
from reconciler.linux.proc import is_same_process, read_boot_id
from reconciler.linux.process import read_exit_status
from reconciler.model.state import ExitStatus
from reconciler.monitor.children import kill_and_reap, make_run
from reconciler.monitor.launch import Launched, launch, parse_status
from reconciler.monitor.run_file import RUN_FILE, read_run, write_json
from reconciler.monitor.steps import decode_steps
from reconciler.monitor.steps.attributes import NewKeyring
from reconciler.monitor.steps.join import DropDescriptors
from reconciler.monitor.steps.launcher import AwaitRuntime, AwaitStart, CloseOthers, RunHooks
from reconciler.monitor.steps.process import Execute
from reconciler.monitor.steps.root import EnterRoot

GO_FIFO, STATUS_FIFO = "exec.fifo", "exec.status"
_PIPE_MAX = 65536
_NOBODY_TOLD = {"step": None, "kind": None, "errno": 3, "path": None}


class LaunchOptions(NamedTuple):
    """How an init is launched.

    `waits`: it does not execute its command before `release`. `console_fd` is a socket for its
    terminal's master, or -1; `preserved` are descriptors from 3 on that it keeps; `keyring` is
    the name of a session keyring of its own.
    `runtime_hooks` is called with its pid once its namespaces are there and returns the state
    that its own hooks get, of which `container_hooks` run before its root is entered and
    `start_hooks` before its command.
    """

    waits: bool = False
    console_fd: int = -1
    preserved: int = 0
    runtime_hooks: Callable[[int], bytes] | None = None
    keyring: str | None = None
    container_hooks: Sequence[list[Any]] = ()
    start_hooks: Sequence[list[Any]] = ()


class DirectLauncher:
    """The launcher of one engine; `options` are those of the next start."""

    def __init__(self, run_dir: str, options: LaunchOptions | None = None) -> None:
        self._run_dir = run_dir
        self.options = options or LaunchOptions()

    def start(self, plan: dict[str, Any]) -> dict[str, Any]:
        """Start a container from its launch plan; return `{pid, startTicks, startedAt}`.

        Raises: SetupFailed; what `runtime_hooks` raises.
        """
        options = self.options
        fds = _Descriptors(plan["directory"], options)
        try:
            launched = _launch(plan, _extend(decode_steps(plan["steps"]), options, fds), options)
            fds.close_inherited()
            try:
                run = make_run(plan, launched.pid, read_boot_id())
                write_json(os.path.join(plan["directory"], RUN_FILE), run)
                _follow(launched, options, fds)
            except BaseException:
                kill_and_reap(launched.pid, launched.pidfd)
                raise
            finally:
                os.close(launched.status_fd)
                os.close(launched.pidfd)
        finally:
            fds.close()
        return {key: run[key] for key in ("pid", "startTicks", "startedAt")}

    def execute(self, plan: dict[str, Any], streams: list[int]) -> DirectProcess:
        """Start a further process in a container, as a child of the caller, once it runs.

        `streams` as for `Container.execute`.

        Raises: SetupFailed.
        """
        preserved = self.options.preserved
        steps: list[Any] = [
            CloseOthers(3 + preserved, []) if isinstance(step, DropDescriptors) else step
            for step in decode_steps(plan["steps"])
        ]
        steps[-1] = _preserving(steps[-1], preserved)
        try:
            launched = launch(steps, 0, plan["cgroupDir"], tuple(streams))
        except OSError as error:
            raise _failed(error) from error
        said = _read_all(launched.status_fd)
        os.close(launched.status_fd)
        os.waitpid(launched.pid, 0)
        os.close(launched.pidfd)
        pid, failure = parse_status(said)
        if failure is None and pid is None:
            failure = _NOBODY_TOLD | {"text": "the process was killed before it ran"}
        if failure is not None:
            if pid is not None:
                os.waitpid(pid, 0)
            raise SetupFailed(failure)
        assert pid is not None
        return DirectProcess(pid)

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
        os.close(self._pidfd)

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
        _, failure = parse_status(_read_all(status_fd))
        os.unlink(go)
        return failure
    finally:
        os.close(status_fd)


def wait_status_of(pid: int) -> int:
    """Return the wait status of a child of ours, which has ended. Raises: ChildProcessError."""
    return os.waitpid(pid, 0)[1]


class _Descriptors:
    """The FIFOs of a waiting init, the pipe of one with hooks: made before the clone."""

    def __init__(self, directory: str, options: LaunchOptions) -> None:
        self.go = self.status = self.pipe_read = self.pipe_write = -1
        if options.runtime_hooks is not None:
            self.pipe_read, self.pipe_write = os.pipe2(os.O_CLOEXEC)
        if options.waits:
            self.go, self.status = (
                _make_fifo(os.path.join(directory, name)) for name in (GO_FIFO, STATUS_FIFO)
            )

    def close_inherited(self) -> None:
        """Let go of what is the child's."""
        for fd in (self.go, self.status, self.pipe_read):
            if fd >= 0:
                os.close(fd)
        self.go = self.status = self.pipe_read = -1

    def answer(self, state: bytes) -> None:
        """Give the child the container's state, upon which it goes on."""
        os.write(self.pipe_write, state)
        os.close(self.pipe_write)
        self.pipe_write = -1

    def close(self) -> None:
        """Close all that is open."""
        self.close_inherited()
        if self.pipe_write >= 0:
            os.close(self.pipe_write)
            self.pipe_write = -1


def _make_fifo(path: str) -> int:
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def _extend(steps: list[Any], options: LaunchOptions, fds: _Descriptors) -> list[Any]:
    """Return the steps with those that wait and run hooks in their places."""
    execute = steps[-1] = _preserving(steps[-1], options.preserved)
    before_root: list[Any] = []
    if options.runtime_hooks is not None:
        before_root.append(AwaitRuntime(fds.pipe_read, fds.pipe_write))
    if options.container_hooks:
        before_root.append(RunHooks("createContainer", "creating", list(options.container_hooks)))
    at = next(index for index, step in enumerate(steps) if isinstance(step, EnterRoot))
    before_command: list[Any] = []
    if options.waits:
        before_command.append(AwaitStart(fds.go, fds.status, execute.argv, execute.env))
    if options.start_hooks:
        before_command.append(RunHooks("startContainer", "created", list(options.start_hooks)))
    kept = [fds.go, fds.status, fds.pipe_read, fds.pipe_write]
    first: list[Any] = [CloseOthers(3 + options.preserved, kept)]
    if options.keyring is not None:
        first.append(NewKeyring(options.keyring))
    return [*first, *steps[:at], *before_root, *steps[at:-1], *before_command, execute]


def _preserving(step: object, preserved: int) -> Execute:
    assert isinstance(step, Execute)
    return step._replace(preserved=preserved)


def _launch(plan: dict[str, Any], steps: list[Any], options: LaunchOptions) -> Launched:
    streams = (options.console_fd,) if options.console_fd >= 0 else ()
    try:
        return launch(
            steps,
            plan["cloneFlags"],
            plan["cgroupDir"],
            streams,
            pid_namespace=plan["pidNamespace"],
            id_maps=plan["idMaps"],
            host_steps=decode_steps(plan["hostSteps"]),
        )
    except OSError as error:
        raise _failed(error) from error


def _failed(error: OSError) -> SetupFailed:
    path = error.filename if isinstance(error.filename, str) else None
    return SetupFailed(_NOBODY_TOLD | {"errno": error.errno, "path": path, "text": error.strerror})


def _follow(launched: Launched, options: LaunchOptions, fds: _Descriptors) -> None:
    """Listen until the init executes its command, or waits to. Raises: SetupFailed."""
    said, is_waiting_now = b"", False
    while chunk := _read_some(launched.status_fd):
        said += chunk
        if not said.endswith(b"\n"):
            continue
        messages = [json.loads(line) for line in said.splitlines()]
        said = b""
        for message in messages:
            if "step" in message:
                raise SetupFailed(_as_execute(message))
            if message["waits"] == "runtime" and options.runtime_hooks is not None:
                fds.answer(options.runtime_hooks(launched.pid))
            is_waiting_now = message["waits"] == "start"
        if is_waiting_now:
            return
    if options.waits:
        raise SetupFailed(_NOBODY_TOLD | {"text": "the init was killed before it was set up"})


def _as_execute(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message with a command that is not there told as by its execution."""
    return message | {"kind": "Execute"} if message["kind"] == "AwaitStart" else message


def _read_some(status_fd: int) -> bytes:
    """Return what is said next, b"" at the end."""
    poller = select.poll()
    poller.register(status_fd, select.POLLIN)
    while True:
        poller.poll()
        try:
            return os.read(status_fd, _PIPE_MAX)
        except BlockingIOError:
            continue


def _read_all(status_fd: int) -> bytes:
    said = b""
    while chunk := _read_some(status_fd):
        said += chunk
    return said


def _await_exit(pid: int, pidfd: int, timeout_s: float | None) -> ExitStatus | None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    if not poller.poll(None if timeout_s is None else timeout_s * 1000):
        return None
    try:
        return _exit_of(os.waitpid(pid, 0)[1])
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
