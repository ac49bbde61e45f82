"""`reconciler exec`: runs a further command in a running container."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
from typing import TYPE_CHECKING

from reconciler.cli.arguments import OPTIONS_WITH_VALUE, Parser
from reconciler.cli.failure import report
from reconciler.cli.instance import make_engine
from reconciler.cli.names import load_container

if TYPE_CHECKING:
    from reconciler.engine.container import Container
    from reconciler.errors import ErrorCode
    from reconciler.model.config import Command
    from reconciler.model.state import ExitStatus

EXAMPLES = """\
  reconciler exec web -- ps aux
  reconciler exec -it web sh                   # a shell on this terminal
  reconciler exec -u 0 -w /tmp -e LANG=C web -- env
  reconciler exec -i db -- psql < dump.sql

It has the limits, the isolation and the privileges of the container, and its user unless -u
names another. It ends when this command is ended.

exit codes: the command's own, 128 + N when signal N ended it; 127 it was not found, 126 it could
not be executed, 125 anything else that reconciler failed at"""

_OWN_FAILURE, _NOT_EXECUTABLE, _NOT_FOUND = 125, 126, 127
_SIGNALLED = 128
_WITH_VALUE = {*OPTIONS_WITH_VALUE, "-u", "--user", "-w", "--workdir", "-e", "--env"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name, the command and how it is to run."""
    parser.add_argument("name", metavar="NAME", help="the container")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="the command, after --")
    parser.add_argument(
        "-i", "--interactive", action="store_true", help="pass standard input on; else it is empty"
    )
    parser.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    parser.add_argument("-u", "--user", metavar="USER", help="run as UID, NAME or USER:GROUP")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="run in this directory of its own")
    parser.add_argument(
        "-e",
        "--env",
        metavar="K=V",
        action="append",
        default=[],
        help="set a variable; K alone passes on yours; may be repeated",
    )


def split_command(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return our own arguments and the command: what follows `--`, or NAME and its options."""
    if "--" in arguments:
        index = arguments.index("--")
        if sum(1 for _ in _positionals(arguments[:index])) <= 1:
            return arguments[:index], arguments[index + 1 :]
    for number, index in enumerate(_positionals(arguments)):
        if number == 1:
            return arguments[:index], arguments[index:]
    return arguments, []


def run(args: argparse.Namespace) -> int:
    """Run it and return its exit code. Raises: Usage."""
    from reconciler.errors import ReconcilerError

    command = _command(args)
    try:
        container = load_container(make_engine(args), args.name)
        exit_status = (
            _run_on_terminal(container, command, args)
            if args.tty
            else _run(container, command, args)
        )
    except ReconcilerError as error:
        chosen = ["--log-format", args.log_format or "text", *(["--debug"] * args.debug)]
        report(error, chosen)
        return _exit_code(error.code)
    if exit_status is None or not exit_status.is_known():
        return _OWN_FAILURE
    if exit_status.signal is not None:
        return _SIGNALLED + exit_status.signal
    return exit_status.code or 0


def _positionals(arguments: list[str]) -> list[int]:
    """Return the places of arguments that are neither options nor values of such."""
    places, index = [], 0
    while index < len(arguments):
        one = arguments[index]
        if not one.startswith("-") or one == "-":
            places.append(index)
        index += 2 if one in _WITH_VALUE or _ends_with_value(one) else 1
    return places


def _ends_with_value(argument: str) -> bool:
    """Tell whether it is several flags of one letter whose last one takes a value: `-itu`."""
    flags = argument[1:-1]
    is_short = argument[:1] == "-" and bool(flags) and set(flags) <= {"i", "t"}
    return is_short and f"-{argument[-1]}" in _WITH_VALUE


def _command(args: argparse.Namespace) -> Command:
    from reconciler.model.config import Command

    usage = Parser(prog="reconciler exec")
    if not args.command:
        usage.error(f"no command is given, as in: reconciler exec {args.name} -- ls")
    if args.tty and args.interactive and not os.isatty(0):
        usage.error("-i -t needs a terminal on standard input, which is none; leave out -t")
    from reconciler.cli.terminal import size_of

    env = _environment(args.env, usage)
    if args.tty and "TERM" in os.environ:
        env.setdefault("TERM", os.environ["TERM"])
    return Command(
        argv=tuple(args.command),
        env=env,
        user=args.user,
        workdir=args.workdir,
        terminal=size_of(0, 1, 2) if args.tty else None,
    )


def _environment(pairs: list[str], usage: Parser) -> dict[str, str]:
    env: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name:
            usage.error(f"argument -e/--env: {pair!r} is not of the form K=V")
        if not equals and name not in os.environ:
            usage.error(f"argument -e/--env: {name} has no value here; give one: {name}=VALUE")
        env[name] = value if equals else os.environ[name]
    return env


def _run(container: Container, command: Command, args: argparse.Namespace) -> ExitStatus | None:
    """Run it with pipes of its own: our files and terminals are not to be had inside."""
    from reconciler.cli.streams import Copier
    from reconciler.cli.terminal import signals_passed_to

    with contextlib.ExitStack() as stack:
        pipes = [os.pipe() for _ in range(3)]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        ours = [pipes[1][0], pipes[2][0]]
        for fd in ours:
            stack.callback(os.close, fd)
        try:
            session = stack.enter_context(container.execute(command, theirs))
        except BaseException:
            os.close(pipes[0][1])
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        stack.enter_context(signals_passed_to(session.pid))
        source = 0 if args.interactive else None
        sys.stdout.flush()
        return Copier(source, pipes[0][1], dict(zip(ours, (1, 2), strict=True))).run(session)


def _run_on_terminal(
    container: Container, command: Command, args: argparse.Namespace
) -> ExitStatus | None:
    """Run it on a terminal of the container's, with our terminal, if any, in front of it."""
    from reconciler.cli.streams import Copier
    from reconciler.cli.terminal import raw_mode, resized_with, signals_passed_to

    with contextlib.ExitStack() as stack:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            session = stack.enter_context(container.execute(command, [theirs.fileno()]))
            _, (master, *_), _, _ = socket.recv_fds(ours, 100, 1)
        stack.callback(os.close, master)
        stack.enter_context(signals_passed_to(session.pid))
        stack.enter_context(resized_with(master, 0, 1, 2))
        if args.interactive:
            stack.enter_context(raw_mode(0))
        source = 0 if args.interactive else None
        return Copier(source, master, {master: 1}).run(session)


def _exit_code(code: ErrorCode) -> int:
    from reconciler.errors import ErrorCode

    codes = {
        ErrorCode.CommandNotFound: _NOT_FOUND,
        ErrorCode.CommandNotExecutable: _NOT_EXECUTABLE,
        ErrorCode.Usage: 64,
    }
    return codes.get(code, _OWN_FAILURE)
