"""Failures as the command line tells them, and the exit code of each.

Called by `main` for whatever a verb raises. One line goes to standard error in any case:
`error: <message> (<name> <code>; see: reconciler explain <code>)`, or a log record with
`--log-format json`. With `--output json` or `yaml` standard output gets `{"error": {...}}` as
well, so that a program always finds one document there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from reconciler.cli.instance import is_journal
from reconciler.errors import ConfigInvalid, ErrorCode, ReconcilerError, from_os_error
from reconciler.model.printable import printable

_EXIT_CODES = {
    ErrorCode.ConfigInvalid: 3,
    ErrorCode.PruneRefused: 4,
    ErrorCode.SourceEmpty: 4,
    ErrorCode.PlanStale: 4,
    ErrorCode.LockTimeout: 5,
    ErrorCode.Usage: 64,
}


def usage_error(message: str) -> ReconcilerError:
    """Return the error for a command line that cannot be understood."""
    return ReconcilerError(
        ErrorCode.Usage, f"cannot understand the command line: {message}", operation="usage"
    )


def report(error: Exception, arguments: Sequence[str]) -> int:
    """Tell a failure and return the exit code.

    `arguments` are the command line's: they may be what could not be parsed.
    """
    is_debug = "--debug" in arguments
    known = _known(error)
    form = _chosen(arguments, "--output", "-o")
    if form in ("json", "yaml"):
        _write_data(known, form)
    log_form = _chosen(arguments, "--log-format") or ("journal" if is_journal() else "text")
    if log_form != "text":
        from reconciler.control import logs

        logs.configure(sys.stderr, form=log_form, level="DEBUG" if is_debug else "INFO")
        logs.log_failure(known)
    else:
        print(printable(describe(known)), file=sys.stderr)
        if is_debug:
            print(printable(known.detail()), file=sys.stderr)
    return _EXIT_CODES.get(known.code, 1)


def describe(error: ReconcilerError) -> str:
    """Return the line for people, with one more for each collected problem."""
    line = f"error: {error}{hint(error)}"
    problems = error.problems if isinstance(error, ConfigInvalid) else []
    return "\n".join([line, *(f"  {problem}" for problem in problems)])


def hint(error: ReconcilerError) -> str:
    """Return the code of an error, and where to read more, as the end of a line."""
    return f" ({error.code.name} {int(error.code)}; see: reconciler explain {int(error.code)})"


def _known(error: Exception) -> ReconcilerError:
    """Return a failure as a typed error: the kernel's word, where nobody has translated it, too."""
    if isinstance(error, ReconcilerError):
        return error
    if isinstance(error, OSError):
        known = from_os_error(error, "cannot go on")
        known.__cause__ = error
        return known
    return _internal(error)


def _internal(error: Exception) -> ReconcilerError:
    """Return an unexpected exception as the bug that it is."""
    kind = type(error).__name__
    wrapped = ReconcilerError(
        ErrorCode.Internal, f"internal error: {kind}: {error}; run it again with --debug"
    )
    wrapped.__cause__ = error
    return wrapped


def _write_data(error: ReconcilerError, form: str) -> None:
    from reconciler.cli.output import OutputClosed, emit_data, flush

    try:
        emit_data({"error": error.to_json()}, form)
        flush()
    except (OutputClosed, ReconcilerError, ValueError):
        print("error: and standard output cannot be written", file=sys.stderr)


def _chosen(arguments: Sequence[str], *options: str) -> str | None:
    """Return the value of an option, also where the whole line cannot be parsed."""
    value = None
    for index, argument in enumerate(arguments):
        name, equals, rest = argument.partition("=")
        if name in options:
            value = rest if equals else next(iter(arguments[index + 1 : index + 2]), None)
    return value
