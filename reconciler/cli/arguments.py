"""Arguments: those that every verb has, the types of values, and wrong usage as a typed error.

Called by `main`. It knows no verb; a verb adds its own arguments.
"""

from __future__ import annotations

import argparse
import os
from types import ModuleType

from reconciler.cli.verbs import VERBS

TYPE_CHECKING = False  # importing typing would cost `version` a tenth of its time
if TYPE_CHECKING:
    from typing import NoReturn

_COLUMNS = 80

# Of the options that every verb has, those that take a value: they may stand before the verb.
OPTIONS_WITH_VALUE = frozenset(
    {"--run-dir", "--state-dir", "--cgroup-parent", "--output", "-o", "--log-format"}
)


class Formatter(argparse.RawDescriptionHelpFormatter):
    """A formatter that knows its width: argparse makes one to check each argument.

    For the terminal's it would import `shutil`, with all of Python's compression.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)  # argparse leaves two as well


def _columns() -> int:
    """Return the columns of the terminal, else those that shutil.get_terminal_size takes."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(1).columns or _COLUMNS
    except OSError:
        return _COLUMNS


class Parser(argparse.ArgumentParser):
    """A parser that raises Usage instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise the typed error for a wrong argument. Raises: Usage."""
        from reconciler.cli.failure import usage_error

        raise usage_error(f"{message} ({self.prog} --help shows what there is)")

    def suggest(self, unknown: list[str]) -> str:
        """Return the message for arguments that nothing takes, with the nearest option."""
        from difflib import get_close_matches

        first = unknown[0]
        if not first.startswith("-"):
            return f"{first!r} is one argument too many"
        options = [name for action in self._actions for name in action.option_strings]
        near = get_close_matches(first.partition("=")[0], options, n=1)
        return f"unknown option {first!r}" + (f"; did you mean {near[0]}?" if near else "")


def parse(verb: str, module: ModuleType, arguments: list[str]) -> argparse.Namespace:
    """Return the parsed arguments of a verb. Raises: Usage; SystemExit(0) after --help."""
    parser = make_parser(verb, module)
    command: list[str] | None = None
    if hasattr(module, "split_command"):  # what follows is of another program, and not ours
        arguments, command = module.split_command(arguments)
    has_positionals = any(not action.option_strings for action in parser._actions)
    # With positionals alone, since it imports what formats usage texts.
    parse_arguments = (
        parser.parse_known_intermixed_args if has_positionals else parser.parse_known_args
    )
    parsed, unknown = parse_arguments(arguments)
    if unknown:
        parser.error(parser.suggest(unknown))
    if command is not None:
        parsed.command = command
    return parsed


def make_parser(verb: str, module: ModuleType) -> Parser:
    """Return the parser of a verb, with the options that all have."""
    parser = Parser(
        prog=f"reconciler {verb}",
        description=VERBS[verb][0].upper() + VERBS[verb][1:] + ".",
        epilog="examples:\n" + module.EXAMPLES,
        formatter_class=Formatter,
        allow_abbrev=False,
        add_help=False,
    )
    module.add_arguments(parser)
    _add_common(parser)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("options of every verb")
    group.add_argument(
        "--run-dir",
        metavar="DIR",
        help="state records, sockets and locks (RECONCILER_RUN_DIR; /run/reconciler)",
    )
    group.add_argument(
        "--state-dir",
        metavar="DIR",
        help="logs and writable layers (RECONCILER_STATE_DIR; /var/lib/reconciler)",
    )
    group.add_argument(
        "--cgroup-parent",
        metavar="CGROUP",
        help="make the containers' cgroups"
        " below this one (RECONCILER_CGROUP_PARENT; the caller's own)",
    )
    group.add_argument(
        "-o",
        "--output",
        choices=("table", "json", "yaml"),
        default="table",
        help="the form of the result (default: table)",
    )
    group.add_argument(
        "--log-format",
        choices=("text", "json"),
        help="the form of what goes to standard error (default: text on a terminal, structured"
        " records in systemd's journal, else json)",
    )
    group.add_argument("--debug", action="store_true", help="log more; show stack traces")
    group.add_argument("-h", "--help", action="help", help="show this and end")


def add_sources(parser: argparse.ArgumentParser, *, names: bool = False) -> None:
    """Add the positional sources, empty when none is given; `names`: containers may be named."""
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="DIR|NAME" if names else "DIR",
        help="directory or file of specs"
        + (", or container (default: all)" if names else " (default: the default source)"),
    )


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """Add what a user may allow or forbid a pass to do."""
    parser.add_argument(
        "--no-prune", action="store_true", help="destroy nothing, also what no file names any more"
    )
    parser.add_argument(
        "--allow-empty",
        action="store_true",
        help="a source that has become empty means: destroy all that is its own",
    )
    parser.add_argument(
        "--max-prune",
        metavar="PERCENT",
        type=percent,
        default=50,
        help="refuse to destroy more than this share of a source's containers"
        " in one pass (default: 50)",
    )


def add_lock_timeout(parser: argparse.ArgumentParser) -> None:
    """Add how long to wait for another reconciler that is at work."""
    parser.add_argument(
        "--timeout",
        metavar="DURATION",
        type=duration_s,
        default=30.0,
        help="wait so long for another reconciler to finish (default: 30s)",
    )


def percent(text: str) -> int:
    """Return a whole number from 0 to 100."""
    if not text.isascii() or not text.isdigit() or int(text) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 0 to 100")
    return int(text)


def count(text: str) -> int:
    """Return a whole number from 0 on."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)


def duration_s(text: str) -> float:
    """Return the seconds of a duration such as `500ms` or `1m30s`."""
    from reconciler.model.quantity import parse_duration

    try:
        return parse_duration(text) / 1e9
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
