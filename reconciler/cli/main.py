"""The entrance: finds the verb, imports its module alone, and turns failures into exit codes.

Called by the `reconciler` script and by `python -m reconciler`. It may import nothing heavy:
what a verb does not need, it must not pay for.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from reconciler.cli.output import flush
from reconciler.cli.verbs import HINTS, SYNONYMS, VERBS

TYPE_CHECKING = False  # importing typing would cost `version` a tenth of its time
if TYPE_CHECKING:
    from reconciler.lean.snapshot import Snapshot

# Verbs of scripts and timers, and of those who wait: each file takes about a mebibyte. None is kept
# of a run that took a heavy package, as when a file has changed: the next may not need it.
_SNAPSHOTS = frozenset({"apply", "exec", "logs", "plan", "status"})
_HEAVY = frozenset({"jsonschema", "psutil", "watchdog", "yaml"})
_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
# Specs and records are trees, freed without the collector: looking for cycles every 700 objects
# takes a fifth of the time of reading 10,000 files.
_OBJECTS_TO_COLLECT = 50_000
_OUTPUT_CLOSED = 141  # 128 + SIGPIPE

_OVERVIEW = """\
usage: reconciler VERB [ARGUMENT ...] [OPTION ...]

Keeps the containers of this host equal to a directory of YAML files.

{verbs}

sources: files and directories of *.yaml, *.yml and *.json; without any, the default one,
         /etc/reconciler (for a user other than root, $XDG_CONFIG_HOME/reconciler)

`reconciler VERB --help` shows a verb's options and examples.
`reconciler oci --help` is a command line as runc's, for tools that drive an OCI runtime.
`reconciler explain CODE` says what an error means and what to do.

exit codes: 0 done; 1 failed, whole or in part; 2 changes pending (plan and drift, with
            --detailed-exitcode); 3 invalid specs; 4 refused by a guard; 5 lock not had in time;
            64 wrong usage
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; raises nothing."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["oci"]:
        from reconciler.oci.main import main as run_oci

        return run_oci(arguments[1:])
    gc.set_threshold(_OBJECTS_TO_COLLECT)
    snapshot = None if argv is not None else _load_snapshot(arguments)
    try:
        code = _run(arguments)
        flush()
        if snapshot is not None and _HEAVY.isdisjoint(sys.modules):
            snapshot.save()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except SystemExit as end:  # argparse, after --help
        code = int(end.code or 0)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug is told as such
        code = _tell(error, arguments)
    return _close_output(code)


def _load_snapshot(arguments: list[str]) -> Snapshot | None:
    """Load what a verb took the last time; return where to keep it for the next."""
    from reconciler.lean.importer import install

    verb, _ = _split(arguments)
    return install(f"cli-{verb}" if verb in _SNAPSHOTS else None)


def _tell(error: Exception, arguments: list[str]) -> int:
    from reconciler.cli.failure import report
    from reconciler.cli.output import OutputClosed

    return _OUTPUT_CLOSED if isinstance(error, OutputClosed) else report(error, arguments)


def _run(arguments: list[str]) -> int:
    verb, rest = _split(arguments)
    if verb in VERBS:
        from importlib import import_module

        from reconciler.cli.arguments import parse

        module = import_module(f"reconciler.cli.verbs.{verb}")
        return int(module.run(parse(verb, module, rest)))
    return _run_without_verb(verb, rest)


def _split(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Return the verb and all else; global options may stand before the verb too."""
    from reconciler.cli.arguments import OPTIONS_WITH_VALUE

    index = 0
    while index < len(arguments) and arguments[index].startswith("-"):
        index += 2 if arguments[index] in OPTIONS_WITH_VALUE else 1
    if index >= len(arguments):
        return None, arguments
    return arguments[index], arguments[:index] + arguments[index + 1 :]


def _run_without_verb(verb: str | None, rest: list[str]) -> int:
    if verb == "help" and rest and rest[0] in VERBS:
        return _run([rest[0], "--help"])
    if verb == "help" or (verb is None and {"-h", "--help"} & set(rest)):
        sys.stdout.write(overview())
        return 0
    if verb is None and rest == ["--version"]:
        return _run(["version"])
    from reconciler.cli.failure import usage_error

    if verb is None:
        raise usage_error(f"no verb is given; the verbs are {', '.join(VERBS)}")
    raise usage_error(f"unknown verb {verb!r}{_suggest(verb)}")


def _suggest(verb: str) -> str:
    from difflib import get_close_matches

    if verb.lower() in HINTS:
        return f"; {HINTS[verb.lower()]}"
    known = SYNONYMS.get(verb.lower()) or next(iter(get_close_matches(verb.lower(), VERBS)), None)
    return f"; did you mean {known!r}?" if known else f"; the verbs are {', '.join(VERBS)}"


def overview() -> str:
    """Return what `reconciler --help` prints."""
    width = max(map(len, VERBS))
    return _OVERVIEW.format(
        verbs="\n".join(f"  {verb:{width}}  {summary}" for verb, summary in VERBS.items())
    )


def _close_output(code: int) -> int:
    """Flush what is left, and let the interpreter's own flush at exit find nothing to say."""
    import os

    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return code or _OUTPUT_CLOSED
    return code
