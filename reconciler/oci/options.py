"""Options by table: what `argparse` does, in a tenth of its time, in the words of runc.

Called by `main`. Options may stand before and behind arguments; a verb whose arguments are a
command of the container's takes all that follows its first argument as they are.
"""

from __future__ import annotations

from reconciler.lean import Any, Enum, NamedTuple


class Kind(Enum):
    """What an option takes: nothing, a text, a number, or a text each time it is given."""

    FLAG = "flag"
    TEXT = "text"
    NUMBER = "number"
    LIST = "list"


class Option(NamedTuple):
    """One option: long name, what it does, kind, one-letter name, default, name of its value."""

    name: str
    text: str
    kind: Kind = Kind.FLAG
    letter: str = ""
    default: Any = None
    value: str = "value"


class Verb(NamedTuple):
    """One verb: its arguments as shown, how many there may be, and its options.

    `most` None: any number. `takes_command`: what follows the first argument is not parsed.
    """

    name: str
    text: str
    arguments: str
    least: int
    most: int | None
    options: tuple[Option, ...] = ()
    takes_command: bool = False
    details: str = ""


class UsageError(Exception):
    """The command line cannot be understood."""


Values = dict[str, Any]


def parse(
    options: tuple[Option, ...], words: list[str], *, stops: int | None = None
) -> tuple[Values, list[str]]:
    """Return the value of every option by name, and the arguments.

    Parsing ends behind argument number `stops`, with 0 at the first: all that follows is arguments.

    Raises: UsageError.
    """
    values: Values = {one.name: _initial(one) for one in options}
    arguments: list[str] = []
    left = list(words)
    while left:
        if stops and len(arguments) == stops:
            return values, arguments + (left[1:] if left[0] == "--" else left)
        word = left.pop(0)
        if word == "--":
            return values, arguments + left
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            if stops == 0:
                return values, arguments + left
            continue
        name, equals, given = word.lstrip("-").partition("=")
        option = _find(options, name, word)
        if option is None and not word.startswith("--") and len(word) > 2:
            option, given, equals = _find(options, word[1], word), word[2:], "="
            if option is not None and option.kind is Kind.FLAG:  # several letters at once
                left.insert(0, f"-{word[2:]}")
                equals = ""
        if option is None:
            raise UsageError(f"there is no option {word}")
        _take(option, given if equals else None, left, values)
    return values, arguments


def _initial(option: Option) -> object:
    if option.kind is Kind.LIST:
        return []
    return False if option.kind is Kind.FLAG else option.default


def _find(options: tuple[Option, ...], name: str, word: str) -> Option | None:
    for one in options:
        if name == one.name or (name == one.letter and not word.startswith("--")):
            return one
    return None


def _take(option: Option, given: str | None, left: list[str], values: Values) -> None:
    name = option.name
    if option.kind is Kind.FLAG:
        if given not in (None, "true", "false", "1", "0"):
            raise UsageError(f"--{name} is true or false, not {given!r}")
        values[name] = given not in ("false", "0")
        return
    if given is None:
        if not left:
            raise UsageError(f"--{name} needs a value")
        given = left.pop(0)
    if option.kind is Kind.LIST:
        values[name].append(given)
    elif option.kind is Kind.TEXT:
        values[name] = given
    else:
        values[name] = _number(name, given)


def _number(name: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"--{name} is a number, not {text!r}") from None


def check_arguments(verb: Verb, arguments: list[str]) -> None:
    """Refuse too few or too many arguments. Raises: UsageError."""
    count, least, most = len(arguments), verb.least, verb.most
    if count >= least and (most is None or count <= most):
        return
    if least == most:
        wanted = f"exactly {least} argument(s)"
    else:
        wanted = f"at least {least} argument(s)" if count < least else f"at most {most} argument(s)"
    raise UsageError(f'"{verb.name}" requires {wanted}')


def format_verb(program: str, verb: Verb) -> str:
    """Return the help of a verb."""
    lines = [
        f"usage: {program} [GLOBAL OPTION ...] {verb.name} [OPTION ...] {verb.arguments}".rstrip(),
        "",
        verb.text,
    ]
    if verb.details:
        lines += ["", verb.details]
    return "\n".join([*lines, "", "options:", *format_options(verb.options)])


def format_options(options: tuple[Option, ...]) -> list[str]:
    """Return one line for each option, and for --help."""
    rows = [(_shown(one), _explained(one)) for one in options]
    rows.append(("--help, -h", "show this"))
    width = max(len(left) for left, _ in rows)
    return [f"  {left:<{width}}  {right}" for left, right in rows]


def _shown(option: Option) -> str:
    value = "" if option.kind is Kind.FLAG else f" {option.value}"
    return f"--{option.name}{value}" + (f", -{option.letter}{value}" if option.letter else "")


def _explained(option: Option) -> str:
    again = " (may be given again)" if option.kind is Kind.LIST else ""
    default = f" (default: {option.default})" if option.default not in (None, "", 0) else ""
    return option.text + again + default
