"""The error tree. Every failure that leaves the engine or the loop is one of these.

`str(error)` is one short line, `error.detail()` adds context, cause and stack trace,
`error.to_json()` is what logs and `--output json` show. `OSError` is translated once,
at the boundary of the engine, by `from_os_error`.
"""

from __future__ import annotations

import errno as errno_module

from reconciler.errors.codes import ErrorCode
from reconciler.lean import Any

__all__ = ["ConfigInvalid", "ErrorCode", "ReconcilerError", "from_os_error"]

_CODE_BY_ERRNO = {
    errno_module.EPERM: ErrorCode.PermissionDenied,
    errno_module.EACCES: ErrorCode.PermissionDenied,
    errno_module.ENOSPC: ErrorCode.NoSpace,
    errno_module.EDQUOT: ErrorCode.NoSpace,
}


class ReconcilerError(Exception):
    """A failure with a stable code.

    `message` is one lower-case line `cannot <verb> <object>: <cause>`. The rest is context
    that logs show: `container` (id), `operation` (engine or loop verb), `step` (the set-up
    step's description), `errno` (positive int), `path`, and `file`/`line`/`column`/`field`
    (1-based) where a spec is at fault.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        container: str | None = None,
        operation: str | None = None,
        step: str | None = None,
        errno: int | None = None,
        path: str | None = None,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.container = container
        self.operation = operation
        self.step = step
        self.errno = errno
        self.path = path
        self.file = file
        self.line = line
        self.column = column
        self.field = field

    def __str__(self) -> str:
        return self.message

    def context(self) -> dict[str, Any]:
        """Return the fields that are known, in the order logs print them."""
        known = {
            "container": self.container,
            "operation": self.operation,
            "step": self.step,
            "errno": self.errno and errno_module.errorcode.get(self.errno, str(self.errno)),
            "path": self.path,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "field": self.field,
        }
        return {name: value for name, value in known.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """Return `{code, name, message, file, line, column, field, ...context}`."""
        problem = {
            "code": int(self.code),
            "name": self.code.name,
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "field": self.field,
        }
        return problem | self.context()

    def detail(self) -> str:
        """Return the message with code, context, cause, notes and stack trace (many lines)."""
        import traceback  # costs 5 ms; only needed when something went wrong

        lines = [f"{self.code.name} ({int(self.code)}): {self.message}"]
        lines += [f"  {name}: {value}" for name, value in self.context().items()]
        lines += [f"  note: {note}" for note in getattr(self, "__notes__", ())]
        if self.__cause__ is not None:
            lines.append(f"  cause: {type(self.__cause__).__name__}: {self.__cause__}")
        lines.append("stack trace:")
        lines.append("".join(traceback.format_exception(self)).rstrip())
        return "\n".join(lines)


class ConfigInvalid(ReconcilerError):
    """One or more problems of a spec or a Config, collected; `problems` is never empty."""

    def __init__(self, message: str, problems: list[ReconcilerError], **context: Any) -> None:
        super().__init__(ErrorCode.ConfigInvalid, message, **context)
        self.problems = problems

    def detail(self) -> str:
        """Return the message followed by every problem, one line each, and the stack trace."""
        return "\n".join([*map(str, self.problems), super().detail()])


def from_os_error(
    error: OSError, message: str, code: ErrorCode = ErrorCode.SystemError, **context: Any
) -> ReconcilerError:
    """Translate an `OSError` to a typed error: `<message>: <strerror>`.

    EPERM and EACCES become PermissionDenied, ENOSPC and EDQUOT NoSpace, all others `code`.
    Use as `raise from_os_error(error, "cannot read ...") from error`.
    """
    chosen = _CODE_BY_ERRNO.get(error.errno or 0, code)
    context.setdefault("path", error.filename if isinstance(error.filename, str) else None)
    where = f" ({context['path']})" if context["path"] and context["path"] not in message else ""
    return ReconcilerError(
        chosen, f"{message}: {error.strerror or error}{where}", errno=error.errno, **context
    )
