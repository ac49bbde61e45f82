"""`reconciler install`: writes systemd units for an instance, and starts them."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from reconciler.cli.arguments import add_sources, duration_s
from reconciler.cli.output import emit, emit_data
from reconciler.cli.unit_setup import check_interpreter, make_setup, user_lingers

if TYPE_CHECKING:
    from reconciler.cli.unit_files import Change
    from reconciler.cli.units import Setup

EXAMPLES = """\
  reconciler install --dry-run          # print the units, and what would be run
  reconciler install                    # the daemon, for the default source
  reconciler install /srv/conf --timer  # one `apply` every minute in its place
  reconciler install --timer --every 5m
  reconciler install --user             # for this user; loginctl enable-linger keeps it running
  reconciler install --unit-dir ./units # only the files: for packages
  reconciler install                    # again after an upgrade: rewrites what has changed

Containers live in a scope of their own, so that they outlive a restart, stop and upgrade of each
of the units. A unit file that is not as `install` wrote it is left alone. Once more with other
options it changes what is there; `reconciler uninstall` removes it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sources, the flavour, and where to write."""
    add_sources(parser)
    parser.add_argument("--user", action="store_true", help="units of this user's own manager")
    parser.add_argument(
        "--timer", action="store_true", help="run `apply` every so often, in place of the daemon"
    )
    parser.add_argument(
        "--every",
        metavar="DURATION",
        type=duration_s,
        help="with --timer: how often (default: 1m)",
    )
    parser.add_argument(
        "--unit-dir", metavar="DIR", help="write the files there, and leave systemd alone"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print units and commands, and change nothing"
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite also files that it did not write"
    )


def run(args: argparse.Namespace) -> int:
    """Write what differs and have systemd take it. Raises: Usage, UnitNotOurs, SystemdFailed ..."""
    from reconciler.cli import unit_files
    from reconciler.cli.units import all_names, make_units
    from reconciler.linux import systemd

    setup = make_setup(args)
    check_interpreter(setup.python)
    units = make_units(setup)
    others = [name for name in all_names(setup.name) if name not in {one.name for one in units}]
    directory = args.unit_dir or unit_files.unit_dir(is_user=args.user)
    changes = unit_files.find_changes(directory, units, others, is_forced=args.force)
    commands = _commands(setup, changes)
    if args.dry_run:
        _tell_plan(args, changes, commands)
        return 0
    is_managed = args.unit_dir is None and systemd.is_running(is_user=args.user)
    if is_managed:
        _stop(changes, is_user=args.user)
    unit_files.make_changes(changes)
    if is_managed:
        for command in commands:
            unit_files.systemctl(command, is_user=args.user)
    _tell(args, changes, commands, is_managed=is_managed)
    return 0


def _commands(setup: Setup, changes: list[Change]) -> list[list[str]]:
    """Return what systemctl is to do once the files are there; all of it may be done again."""
    from reconciler.cli.unit_files import KEEP, REWRITE

    commands = [["enable", "--now", setup.socket, setup.shutdown, setup.main]]
    if any(change.kind != KEEP for change in changes):
        commands.insert(0, ["daemon-reload"])
    rewritten = {change.name for change in changes if change.kind == REWRITE}
    if rewritten & {setup.socket, f"{setup.name}-monitor.service"}:
        commands.append(["restart", setup.socket, setup.main])
    elif setup.main in rewritten:
        commands.append(["restart", setup.main])
    return commands


def _stop(changes: list[Change], *, is_user: bool) -> None:
    """End the units of the other flavour, whose files are about to be removed."""
    from reconciler.cli.unit_files import REMOVE, systemctl

    names = [change.name for change in changes if change.kind == REMOVE]
    if names:
        systemctl(["disable", "--now", *names], is_user=is_user)


def _tell_plan(args: argparse.Namespace, changes: list[Change], commands: list[list[str]]) -> None:
    """Print the units, and what would be run."""
    from reconciler.cli.unit_files import REMOVE, command_line

    lines = [shlex.join(command_line(one, is_user=args.user)) for one in commands]
    if args.output != "table":
        items = [change.to_json() | {"text": change.text} for change in changes]
        emit_data({"items": items, "commands": lines}, args.output)
        return
    for change in changes:
        if change.kind == REMOVE:
            emit(f"# {change.path}: to be removed\n")
        else:
            emit(f"# {change.path}\n{change.text}")
    emit("# then:\n" + "\n".join(f"#   {line}" for line in lines))


def _tell(
    args: argparse.Namespace,
    changes: list[Change],
    commands: list[list[str]],
    *,
    is_managed: bool,
) -> None:
    """Print what was done, and what is left to be done by hand."""
    from reconciler.cli.unit_files import command_line

    lines = [shlex.join(command_line(one, is_user=args.user)) for one in commands]
    if args.output != "table":
        done = {"items": [change.to_json() for change in changes], "commands": lines}
        emit_data(done | {"isStarted": is_managed}, args.output)
        return
    for change in changes:
        emit(f"{change.kind} {change.path}")
    if is_managed:
        emit("\n".join(f"ran {line}" for line in lines))
    elif args.unit_dir is None:
        emit("systemd does not run here; once it does:\n  " + "\n  ".join(lines))
    if args.user and is_managed and not user_lingers():
        emit("it ends when you log out, unless you run: loginctl enable-linger")
