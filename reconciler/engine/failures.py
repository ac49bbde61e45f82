"""From what went wrong in a start to a typed error that says what to do."""

from __future__ import annotations

import errno

from reconciler.engine.monitor_client import SetupFailed
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.record import Record


def translate_setup_failure(failure: SetupFailed, record: Record) -> ReconcilerError:
    """Return the typed error of a failed set-up step."""
    code, cause = _classify(failure, record)
    return ReconcilerError(
        code,
        f"cannot start {record.id}: {cause}",
        container=record.id,
        operation="start",
        step=failure.step,
        errno=failure.errno or None,
        path=failure.path,
    )


def _classify(failure: SetupFailed, record: Record) -> tuple[ErrorCode, str]:
    number, text = failure.errno, failure.text
    command = record.config.command[0]
    user = record.config.user_or_default()
    match failure.kind:
        case "Execute" if number == errno.ENOENT:
            if failure.path and failure.path != command:
                text = text.lower()
            where = "" if "/" in command else " on its PATH"
            if "interpreter" in text:
                return ErrorCode.CommandNotExecutable, f"{failure.path}: {text}"
            return ErrorCode.CommandNotFound, f"the command {command} does not exist{where}"
        case "Execute" if number in (errno.EACCES, errno.EPERM):
            return (
                ErrorCode.CommandNotExecutable,
                f"the command {failure.path} is not executable for user {user}",
            )
        case "Execute" if number == errno.ENOEXEC:
            return (
                ErrorCode.CommandNotExecutable,
                f"the command {failure.path} is neither a program of this machine's kind nor a "
                "script with a #! line",
            )
        case "Execute":
            return ErrorCode.ProcessNotExecuted, f"cannot execute {failure.path}: {text}"
        case "SetRlimits" | "SetOomScore" if number in (errno.EPERM, errno.EACCES):
            return (
                ErrorCode.LimitNotSupported,
                f"cannot {failure.step}: this host's root lacks CAP_SYS_RESOURCE",
            )
        case "ChangeDirectory":
            return (
                ErrorCode.ConfigInvalid,
                f"cannot enter the working directory {record.config.workdir}: {text.lower()}",
            )
        case None if number in (errno.EPERM, errno.EACCES):
            return (
                ErrorCode.PermissionDenied,
                f"the kernel refuses new namespaces ({text.lower()}); run it as root",
            )
        case None:
            return ErrorCode.SystemError, text + (f" ({failure.path})" if failure.path else "")
    if number in (errno.ENOSPC, errno.EDQUOT):
        return ErrorCode.NoSpace, f"cannot {failure.step}: {text.lower()}"
    path = f" ({failure.path})" if failure.path and failure.path not in (failure.step or "") else ""
    return ErrorCode.StepFailed, f"cannot {failure.step}: {text.lower()}{path}"


def not_running(container_id: str, operation: str) -> ReconcilerError:
    """Return the error for an operation that needs a running init."""
    return ReconcilerError(
        ErrorCode.ContainerNotRunning,
        f"cannot {operation} {container_id}: it is not running",
        container=container_id,
        operation=operation,
    )
