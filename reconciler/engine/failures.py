"""From what went wrong in a start to a typed error that says what to do."""

from __future__ import annotations

import errno

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any, Iterator, contextmanager
from reconciler.model.config import Command
from reconciler.model.frozen import replace
from reconciler.model.record import Record


class SetupFailed(Exception):
    """A start failed in the monitor or the child: the wire's error, not yet translated.

    `step` and `kind` name the set-up step (None: before the first), `errno`, `path`, `text`.
    """

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["text"])
        self.step: str | None = error["step"]
        self.kind: str | None = error["kind"]
        self.errno: int = error["errno"] or 0
        self.path: str | None = error["path"]
        self.text: str = error["text"]


def translate_setup_failure(
    failure: SetupFailed, record: Record, command: Command | None = None
) -> ReconcilerError:
    """Return the typed error of a failed set-up step, of a start or of a further `command`."""
    config = record.config if command is None else command.process or record.config
    chosen = command or Command(argv=config.command, workdir=config.workdir)
    if chosen.user is None:
        chosen = replace(chosen, user=config.user_or_default())
    code, cause = _classify(failure, chosen)
    what = "start" if command is None else "execute a command in"
    return ReconcilerError(
        code,
        f"cannot {what} {record.id}: {cause}",
        container=record.id,
        operation="start" if command is None else "exec",
        step=failure.step,
        errno=failure.errno or None,
        path=failure.path,
    )


def _classify(failure: SetupFailed, command: Command) -> tuple[ErrorCode, str]:
    refused = failure.errno in (errno.EPERM, errno.EACCES)
    text = failure.text.lower()
    where = f" ({failure.path})" if failure.path and failure.path not in str(failure.step) else ""
    if failure.kind == "Execute":
        return _classify_execute(failure, command)
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return ErrorCode.NoSpace, f"cannot {failure.step or 'clone'}: {text}{where}"
    if known := _classify_kind(failure, command):
        return known
    if failure.kind is None and refused:
        cause = f"the kernel refuses new namespaces: {text}{where}; run it as root"
        return ErrorCode.PermissionDenied, cause
    if failure.kind is None:
        return ErrorCode.SystemError, f"{text}{where}"
    if failure.kind == "RunHooks":
        code, where = ErrorCode.HookFailed, ""
    else:
        code = ErrorCode.StepFailed
    return code, f"cannot {failure.step}: {text}{where}"


def _classify_kind(failure: SetupFailed, command: Command) -> tuple[ErrorCode, str] | None:
    """Return what is to be said of a step that has a reason of its own to fail."""
    refused = failure.errno in (errno.EPERM, errno.EACCES)
    text = failure.text.lower()
    if failure.kind in ("SetRlimits", "SetOomScore") and refused:
        cause = f"cannot {failure.step}: that takes CAP_SYS_RESOURCE, which root lacks on this host"
        return ErrorCode.LimitNotSupported, cause
    if failure.kind == "SetScheduling" and failure.errno == errno.EPERM:
        needed = (
            "CAP_SYS_NICE and, on cgroup v1, realtime time for its cgroup (cpu.realtimeRuntime)"
        )
        cause = f"cannot {failure.step}: {text}: a realtime one takes {needed}"
        return ErrorCode.LimitNotSupported, cause
    if failure.kind == "EnterTimeNamespace" and failure.errno == errno.ERANGE:
        cause = f"cannot {failure.step}: with its timeOffsets a clock would be below 0, or too high"
        return ErrorCode.ConfigInvalid, cause
    if failure.kind == "WriteSysctls" and failure.errno in (errno.EINVAL, errno.ENOENT):
        cause = f"cannot {failure.step}: the kernel refuses a value ({failure.path})"
        if failure.errno == errno.ENOENT:
            cause = f"cannot {failure.step}: there is no {failure.path} in the namespace it joins"
        return ErrorCode.ConfigInvalid, cause
    if failure.kind == "ChangeDirectory":
        cause = f"cannot enter the working directory {command.workdir}: {text}"
        return ErrorCode.ConfigInvalid, cause
    return None


def _classify_execute(failure: SetupFailed, command: Command) -> tuple[ErrorCode, str]:
    name = command.argv[0]
    match failure.errno:
        case errno.ENOENT if failure.path == name and "/" not in name:
            cause = f"the command {name} is not on the PATH inside the container"
            return ErrorCode.CommandNotFound, cause
        case errno.ENOENT if "interpreter" in failure.text:
            return ErrorCode.CommandNotExecutable, f"{failure.path}: {failure.text}"
        case errno.ENOENT:
            cause = f"the command {failure.path} does not exist inside the container"
            return ErrorCode.CommandNotFound, cause
        case errno.EACCES | errno.EPERM:
            cause = f"the command {failure.path} is not executable for the user {command.user}"
            return ErrorCode.CommandNotExecutable, cause
        case errno.ENOEXEC:
            cause = f"the command {failure.path} is neither a program for this machine nor a script"
            return ErrorCode.CommandNotExecutable, f"{cause} with a #! line"
        case _:
            cause = f"cannot execute {failure.path}: {failure.text.lower()}"
            return ErrorCode.ProcessNotExecuted, cause


def not_running(container_id: str, operation: str) -> ReconcilerError:
    """Return the error for an operation that needs a running init."""
    return ReconcilerError(
        ErrorCode.ContainerNotRunning,
        f"cannot {operation} {container_id}: it is not running",
        container=container_id,
        operation=operation,
    )


@contextmanager
def about(container_id: str, operation: str) -> Iterator[None]:
    """Say of an error raised within which container and operation it is about.

    The message becomes `cannot <operation> <id>: <message>`.
    """
    try:
        yield
    except ReconcilerError as error:
        if error.container is None:
            error.container, error.operation = container_id, operation
            error.message = f"cannot {operation} {container_id}: {error.message}"
        raise
