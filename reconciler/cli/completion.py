"""Completion scripts, made from the parsers of the verbs, so that they cannot differ from them.

Called by `completion`. The scripts ask `reconciler completion names` for names of containers.
"""

from __future__ import annotations

import argparse
import shlex
import signal
from importlib import import_module
from typing import NamedTuple

from reconciler.cli.arguments import OPTIONS_WITH_VALUE, make_parser
from reconciler.cli.verbs import VERBS
from reconciler.cli.verbs.wait import STATES
from reconciler.errors.codes import ErrorCode

# What a value or a positional is: names of containers, files, commands, nothing that can be
# told, or `words`, those of a list.
NAMES, FILES, COMMANDS, NONE = "names", "files", "commands", "none"

_CONDITIONS = ("Running", "Valid", "Progressing=False")
_BY_DEST = {
    "name": NAMES,
    "names": NAMES,
    "sources": FILES,
    "command": COMMANDS,
    "code": " ".join(code.name for code in ErrorCode),
    "signal": " ".join(one.name.removeprefix("SIG") for one in signal.Signals),
    "wanted": " ".join((*STATES, *_CONDITIONS)),
}
_BY_METAVAR = {"DIR": FILES, "FILE": FILES, "DIR|NAME": NAMES}


class Option(NamedTuple):
    """An option by all its spellings; `kind` of its value is "" where it takes none."""

    spellings: tuple[str, ...]
    kind: str
    help: str


class Verb(NamedTuple):
    """A verb: what it is for, its options, and the kinds of its positionals in order."""

    name: str
    summary: str
    options: list[Option]
    kinds: list[str]


def make_script(shell: str) -> str:
    """Return the script for bash, zsh or fish."""
    makers = {"bash": _make_bash, "zsh": _make_zsh, "fish": _make_fish}
    return makers[shell]([_read_verb(name) for name in VERBS])


def _read_verb(name: str) -> Verb:
    parser = make_parser(name, import_module(f"reconciler.cli.verbs.{name}"))
    options, kinds = [], []
    for action in parser._actions:
        if action.option_strings:
            text = " ".join((action.help or "").split())
            options.append(Option(tuple(action.option_strings), _kind(action), text))
        else:
            kinds.append(_kind(action))
            is_last = action.nargs not in ("*", "+")
    if not kinds or is_last:
        kinds.append(NONE)
    return Verb(name, VERBS[name], options, kinds)


def _kind(action: argparse.Action) -> str:
    """Return the kind, or the words separated by spaces; nothing for an option without value."""
    if action.option_strings and action.nargs == 0:
        return ""
    if action.choices:
        return " ".join(map(str, action.choices))
    by_metavar = _BY_METAVAR.get(str(action.metavar))
    return by_metavar or _BY_DEST.get(action.dest, NONE)


# --- bash and zsh: one function, which differs in how words are offered

_FUNCTION = """\
    local verb= kind= index count=0 word options= kinds= common={common}
    for ((index = {first}; index < current; index++)); do
        word=${{words[index]}}
        case $word in
            {globals}) ((index++)) ;;
            -*) ;;
            *) verb=$word; break ;;
        esac
    done
    case "$verb" in
{cases}
    esac
    for ((index++; index < current; index++)); do
        word=${{words[index]}}
        [[ $word == -- ]] && {{ ((count++)); break; }}
        case "$verb $word" in
            {with_value}) ((index++)) ;;
            *' -'*) ;;
            *) ((count++)) ;;
        esac
    done
    case "$verb $previous" in
{values}
    esac
    options="$options $common\""""


def _fill_function(verbs: list[Verb], first: int) -> str:
    shared = [one for one in verbs[0].options if all(one in verb.options for verb in verbs)]
    cases, patterns = [], [(_pattern("*", option), option.kind) for option in shared]
    for verb in verbs:
        own = [option for option in verb.options if option not in shared]
        spelled, kinds = shlex.quote(_spellings(own)), shlex.quote(";".join(verb.kinds))
        cases.append(f"        {verb.name}) options={spelled} kinds={kinds} ;;")
        patterns += [(_pattern(f"'{verb.name}'", option), option.kind) for option in own]
    patterns = [(pattern, kind) for pattern, kind in patterns if kind]
    return _FUNCTION.format(
        common=shlex.quote(_spellings(shared)),
        first=first,
        globals=" | ".join(sorted(OPTIONS_WITH_VALUE)),
        cases="\n".join(cases),
        with_value=" | ".join(pattern for pattern, _ in patterns),
        values="\n".join(f"        {one}) kind={shlex.quote(kind)} ;;" for one, kind in patterns),
    )


def _spellings(options: list[Option]) -> str:
    return " ".join(spelling for option in options for spelling in option.spellings)


def _pattern(verb: str, option: Option) -> str:
    return " | ".join(f"{verb}' {spelling}'" for spelling in option.spellings)


_BASH = """\
# bash completion of reconciler, made by `reconciler completion bash`
_reconciler() {{
    local words=("${{COMP_WORDS[@]}}") current=$COMP_CWORD
    local this=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
{function}
    COMPREPLY=()
    if [[ -z $kind && -z $verb && $this != -* ]]; then
        kind={verbs}
    elif [[ -z $kind && $this == -* ]]; then
        kind=$options
    elif [[ -z $kind ]]; then
        local -a list
        IFS=';' read -ra list <<< "$kinds"
        kind=${{list[count < ${{#list[@]}} ? count : ${{#list[@]}} - 1]}}
    fi
    case $kind in
        names) kind=$(reconciler completion names 2>/dev/null) ;;
        files)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$this")
            return ;;
        commands) mapfile -t COMPREPLY < <(compgen -c -- "$this"); return ;;
        none) return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$kind" -- "$this")
}}
complete -F _reconciler reconciler"""


def _make_bash(verbs: list[Verb]) -> str:
    names = shlex.quote(" ".join(verb.name for verb in verbs))
    return _BASH.format(function=_fill_function(verbs, 1), verbs=names)


_ZSH = """\
#compdef reconciler
# zsh completion of reconciler, made by `reconciler completion zsh`
_reconciler() {{
    local current=$CURRENT this=$words[CURRENT] previous=$words[CURRENT-1]
{function}
    if [[ -z $kind && -z $verb && $this != -* ]]; then
        local -a verbs
        verbs=(
{verbs}
        )
        _describe verb verbs
        return
    elif [[ -z $kind && $this == -* ]]; then
        kind=$options
    elif [[ -z $kind ]]; then
        local -a list
        list=("${{(@s:;:)kinds}}")
        ((count = count < $#list ? count + 1 : $#list))
        kind=$list[count]
    fi
    case $kind in
        names) kind=$(reconciler completion names 2>/dev/null) ;;
        files) _files; return ;;
        commands) _command_names -e; return ;;
        none) return ;;
    esac
    compadd -- ${{=kind}}
}}
if [[ $funcstack[1] == _reconciler ]]; then
    _reconciler "$@"
else
    compdef _reconciler reconciler
fi"""


def _make_zsh(verbs: list[Verb]) -> str:
    names = [f"            {shlex.quote(f'{verb.name}:{verb.summary}')}" for verb in verbs]
    return _ZSH.format(function=_fill_function(verbs, 2), verbs="\n".join(names))


# --- fish

_FISH = """\
# fish completion of reconciler, made by `reconciler completion fish`
function __reconciler_names
    reconciler completion names 2>/dev/null
end
function __reconciler_uses
    set -l words (commandline -opc)
    contains -- $argv[1] $words[2..-1]
end
complete -c reconciler -f"""


def _make_fish(verbs: list[Verb]) -> str:
    lines = [_FISH]
    is_first = "not __fish_seen_subcommand_from " + " ".join(verb.name for verb in verbs)
    for verb in verbs:
        lines.append(_fish("-n", is_first, "-a", verb.name, "-d", verb.summary))
        uses = f"__reconciler_uses {verb.name}"
        lines += [_fish("-n", uses, *_fish_option(option)) for option in verb.options]
        for kind in dict.fromkeys(verb.kinds):
            if kind != NONE:
                lines.append(_fish("-n", uses, *_fish_value(kind)))
    return "\n".join(lines)


def _fish_option(option: Option) -> list[str]:
    told: list[str] = []
    for spelling in option.spellings:
        told += ["-l", spelling[2:]] if spelling.startswith("--") else ["-s", spelling[1:]]
    told += ["-d", option.help]
    if option.kind:
        told += ["-x" if option.kind not in (FILES, COMMANDS) else "-r"]
        told += _fish_value(option.kind) if option.kind != NONE else []
    return told


def _fish_value(kind: str) -> list[str]:
    fixed = {FILES: ["-F"], NAMES: ["-a", "(__reconciler_names)"]}
    fixed[COMMANDS] = ["-a", "(__fish_complete_command)"]
    return fixed.get(kind, ["-a", kind])


def _fish(*words: str) -> str:
    return "complete -c reconciler " + " ".join(map(_fish_quote, words))


def _fish_quote(word: str) -> str:
    """Quote as fish reads it: in single quotes, where only \\ and ' are escaped."""
    if word.replace("-", "").replace("_", "").isalnum():
        return word
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
