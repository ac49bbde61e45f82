"""Starts an init, or a process that joins one, as a child of the caller. Called by `direct`.

The calling process must have a single thread.
"""

from __future__ import annotations

import os

from reconciler.engine.direct import GO_FIFO, STATUS_FIFO, LaunchOptions, read_all, read_some
from reconciler.engine.failures import SetupFailed
from reconciler.lean import Any, json
from reconciler.linux.proc import read_boot_id
from reconciler.linux.reaping import is_child
from reconciler.monitor.inits import kill_and_reap, make_run
from reconciler.monitor.launch import Launched, launch, parse_status
from reconciler.monitor.run_file import RUN_FILE, write_json
from reconciler.monitor.steps import decode_steps
from reconciler.monitor.steps.attributes import NewKeyring, OpenConsole
from reconciler.monitor.steps.join import DropDescriptors
from reconciler.monitor.steps.launcher import (
    AwaitRuntime,
    AwaitStart,
    CloseOthers,
    GiveStreams,
    RunHooks,
)
from reconciler.monitor.steps.mounts import MakeTarget
from reconciler.monitor.steps.process import ChangeDirectory, Confine, KeepStreams, failure_text
from reconciler.monitor.steps.root import EnterRoot, SetRootReadonly

_NOBODY_TOLD = {"step": None, "kind": None, "errno": 3, "path": None}


def start_init(plan: dict[str, Any], options: LaunchOptions) -> dict[str, Any]:
    """Start a container from its launch plan; return `{pid, startTicks, startedAt}`.

    Raises: SetupFailed; what `runtime_hooks` raises.
    """
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


def start_process(plan: dict[str, Any], streams: list[int], preserved: int) -> int:
    """Start a further process from its plan; return its pid once it runs. Raises: SetupFailed."""
    steps = _joining(decode_steps(plan["steps"]), preserved)
    try:
        launched = launch(steps, 0, plan["cgroupDir"], tuple(streams))
    except OSError as error:
        raise _failed(error) from error
    said = read_all(launched.status_fd)
    os.close(launched.status_fd)
    os.waitpid(launched.pid, 0)
    os.close(launched.pidfd)
    pid, failure = parse_status(said)
    if pid is not None and not is_child(pid):
        pid = None
    if failure is None and pid is None:
        failure = _NOBODY_TOLD | {"text": "the process was killed before it ran"}
    if failure is not None:
        if pid is not None:
            os.waitpid(pid, 0)
        raise SetupFailed(failure)
    assert pid is not None
    return pid


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
    steps = _preserving(steps, options.preserved)
    execute = steps[-1]
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
    if options.uses_trampoline:
        from reconciler.monitor.steps.trampoline import MakeTrampoline

        first.append(MakeTrampoline())
    if options.makes_keyring:
        first.append(NewKeyring())
    inside = steps[at:-1]
    for index, step in enumerate(inside):
        if isinstance(step, (SetRootReadonly, KeepStreams, OpenConsole)):
            inside[index:index] = _make_workdir(steps)
            break
    return [*first, *steps[:at], *before_root, *inside, *before_command, execute]


def _make_workdir(steps: list[Any]) -> list[Any]:
    """Return the step that makes the working directory where it is missing, as runc does."""
    return [MakeTarget(one.path, True) for one in steps if isinstance(one, ChangeDirectory)]


def _joining(steps: list[Any], preserved: int) -> list[Any]:
    """Return the steps with other descriptors kept, and the streams given to the user."""
    changed: list[Any] = []
    for step in steps:
        if isinstance(step, DropDescriptors):
            changed.append(CloseOthers(3 + preserved, []))
            continue
        if isinstance(step, Confine):
            changed.append(GiveStreams(step.uid))
        changed.append(step)
    return _preserving(changed, preserved)


def _preserving(steps: list[Any], preserved: int) -> list[Any]:
    return [
        step._replace(preserved=preserved) if isinstance(step, Confine) else step for step in steps
    ]


def _launch(plan: dict[str, Any], steps: list[Any], options: LaunchOptions) -> Launched:
    streams = (options.console_fd,) if options.console_fd >= 0 else ()
    try:
        return launch(
            steps,
            plan["cloneFlags"],
            plan["cgroupDir"],
            streams,
            joins=plan["joins"],
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
    while chunk := read_some(launched.status_fd):
        said += chunk
        if not said.endswith(b"\n"):
            continue
        messages = [json.loads(line) for line in said.splitlines()]
        said = b""
        for message in messages:
            if "step" in message:
                raise SetupFailed(_complete(message))
            if message["waits"] == "runtime" and options.runtime_hooks is not None:
                fds.answer(options.runtime_hooks(launched.pid))
            is_waiting_now = message["waits"] == "start"
        if is_waiting_now:
            return
    if options.waits:
        raise SetupFailed(_NOBODY_TOLD | {"text": "the init was killed before it was set up"})


def _complete(message: dict[str, Any]) -> dict[str, Any]:
    """Return a failure with its text, and a command that is not there as by its execution."""
    kind = "Execute" if message["kind"] == "AwaitStart" else message["kind"]
    return {"text": failure_text(message["errno"])} | message | {"kind": kind}
