"""One command line: finds the verb, imports its module alone, tells failures. Called by `main`."""

from __future__ import annotations

import os
import sys

from reconciler.oci.log import Log
from reconciler.oci.options import (
    UsageError,
    Values,
    Verb,
    check_arguments,
    format_options,
    format_verb,
    parse,
)
from reconciler.oci.sealing import SealNeeded
from reconciler.oci.table import GLOBAL, VERBS

_FAILED, _EXEC_FAILED, _INTERRUPTED = 1, 255, 130


def run(words: list[str]) -> int:
    """Run one command line and return its exit code. Raises: SealNeeded, and nothing else."""
    try:
        values, rest = parse(GLOBAL, words, stops=0)
    except UsageError as error:
        if {"--help", "-h"} & set(words):
            return _show(_overview())
        return _wrong_usage(Log(None, is_json=False, is_debug=False), str(error), None)
    log = _make_log(values)
    if values["log-format"] not in ("text", "json"):
        problem = f"--log-format is text or json, not {values['log-format']!r}"
        return _wrong_usage(log, problem, None)
    if values["version"]:
        return _show(_version())
    if not rest or rest[0] in ("help", "h"):
        return _show(_overview() if len(rest) < 2 else _help_of(rest[1]))
    verb = _find(rest[0])
    if verb is None:
        return _wrong_usage(log, f'there is no verb "{rest[0]}"', None)
    return _run_verb(verb, values, rest[1:], log)


def _run_verb(verb: Verb, values: Values, rest: list[str], log: Log) -> int:
    if rest[:1] in (["--help"], ["-h"]):
        return _show(format_verb(_program(), verb))
    try:
        options, arguments = parse(verb.options, rest, stops=1 if verb.takes_command else None)
        check_arguments(verb, arguments)
    except UsageError as error:
        if "--help" in rest or "-h" in rest:
            return _show(format_verb(_program(), verb))
        return _wrong_usage(log, str(error), verb)
    return _guard(verb, values, options, arguments, log)


def _guard(verb: Verb, values: Values, options: Values, arguments: list[str], log: Log) -> int:
    from reconciler.errors import ReconcilerError

    failed = _EXEC_FAILED if verb.name == "exec" else _FAILED
    try:
        from reconciler.oci.runtime import Runtime

        if "preserve-fds" in options:  # before any descriptor of ours could be taken for one
            options["preserve-fds"] = _count_preserved(options["preserve-fds"], log)
        if log.is_debug:
            words = [verb.name, *(f"{key}={value!r}" for key, value in options.items() if value)]
            log.note(f"{_version().splitlines()[0]}: {' '.join([*words, *arguments])}")
        name = f"reconciler.oci.verbs.{verb.name}"
        __import__(name)  # importlib would load warnings
        code: int = sys.modules[name].run(Runtime(values, log), options, arguments)
        if log.is_debug:
            log.note(f"{verb.name} has ended with {code}")
        return code
    except SealNeeded:
        raise
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug is told as such
        from reconciler.oci.failures import describe

        log.error(describe(error, verb.name))
        if log.is_debug or not isinstance(error, (ReconcilerError, OSError)):
            import traceback

            log.note("".join(traceback.format_exception(error)).rstrip())
        return failed


def _count_preserved(asked: int, log: Log) -> int:
    """Return how many descriptors from 3 on are handed on: those of socket activation too.

    Where one is not open nothing is handed on, and none of ours may come to be there.

    Source: sd_listen_fds(3). Raises: OSError.
    """
    activated = os.environ.get("LISTEN_FDS", "")
    count = asked + (int(activated) if activated.isdecimal() else 0)
    missing: list[int] = []
    for fd in range(3, 3 + count):
        try:
            os.set_inheritable(fd, True)
        except OSError:
            missing.append(fd)
            held = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            if held != fd:
                os.dup2(held, fd, inheritable=False)
                os.close(held)
    if missing:
        log.warning(f"of {count} descriptors to preserve {missing} are not open")
    return count


def _make_log(values: Values) -> Log:
    is_json = values["log-format"] == "json"
    path = values["log"] or None
    return Log(path, is_json=is_json, is_debug=values["debug"])


def _find(name: str) -> Verb | None:
    return next((verb for verb in VERBS if verb.name == name), None)


def _wrong_usage(log: Log, problem: str, verb: Verb | None) -> int:
    about = "" if verb is None else f" {verb.name}"
    log.error(f"{_program()}: {problem}; see `{_program()}{about} --help`")
    return _FAILED


def _show(text: str) -> int:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    return 0


def _help_of(name: str) -> str:
    verb = _find(name)
    return _overview() if verb is None else format_verb(_program(), verb)


def _program() -> str:
    return "reconciler-oci"


def _overview() -> str:
    width = max(len(verb.name) for verb in VERBS)
    verbs = [f"  {verb.name:<{width}}  {verb.text}" for verb in VERBS]
    return "\n".join(
        [
            f"usage: {_program()} [GLOBAL OPTION ...] VERB [OPTION ...] [ARGUMENT ...]",
            "",
            "Runs containers from bundles: directories with a config.json and a root file system.",
            "",
            "verbs:",
            *verbs,
            "",
            "global options:",
            *format_options(GLOBAL),
            "",
            f"`{_program()} VERB --help` shows the options of a verb.",
        ]
    )


def _version() -> str:
    from reconciler import __version__
    from reconciler.oci.bundle import MOST_VERSION

    return f"reconciler-oci version {__version__}\nspec: {MOST_VERSION}"
