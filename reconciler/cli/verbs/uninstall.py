"""`reconciler uninstall`: stops and removes the systemd units; containers run on."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from reconciler.cli.instance import make_engine
from reconciler.cli.output import emit, emit_data, plural

if TYPE_CHECKING:
    from reconciler.cli.unit_files import Change

EXAMPLES = """\
  reconciler uninstall
  reconciler uninstall --user
  reconciler uninstall --dry-run     # what it would remove

Containers run on; the next command starts a monitor for them. To end them as well:
  reconciler destroy --all"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add whose units, and where they are."""
    parser.add_argument("--user", action="store_true", help="units of this user's own manager")
    parser.add_argument(
        "--unit-dir", metavar="DIR", help="remove the files there, and leave systemd alone"
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing")
    parser.add_argument(
        "--force", action="store_true", help="remove also files that it did not write"
    )


def run(args: argparse.Namespace) -> int:
    """Remove them. Raises: UnitNotOurs, SystemdFailed, PermissionDenied ..."""
    from reconciler.cli import unit_files
    from reconciler.cli.units import all_names, shutdown_name
    from reconciler.engine import dirs
    from reconciler.engine.dirs import unit_name
    from reconciler.linux import systemd

    run_dir = os.path.abspath(args.run_dir or dirs.default_run_dir())
    names = all_names(unit_name(run_dir))
    directory = args.unit_dir or unit_files.unit_dir(is_user=args.user)
    changes = unit_files.find_changes(directory, (), names, is_forced=args.force)
    is_managed = args.unit_dir is None and systemd.is_running(is_user=args.user)
    running: list[str] = []
    if changes and not args.dry_run:
        if is_managed:
            shutdown = shutdown_name(unit_name(run_dir))  # to stop it would stop the containers
            found = [change.name for change in changes]
            if shutdown in found:
                found.remove(shutdown)
                unit_files.systemctl(["disable", shutdown], is_user=args.user)
            if found:
                unit_files.systemctl(["disable", "--now", *found], is_user=args.user)
        unit_files.make_changes(changes)
        if args.unit_dir is None:
            running = _let_go(args, is_managed=is_managed)
    _tell(args, changes, running)
    return 0


def _let_go(args: argparse.Namespace, *, is_managed: bool) -> list[str]:
    """Give the place of containers up, and end the scope that nothing is left in.

    Return the containers that run on.
    """
    from reconciler.cli.unit_files import ask_systemctl, systemctl
    from reconciler.engine.systemd_place import forget_place

    engine = make_engine(args)
    running = [one.id for one in engine.list() if one.status().has_processes()]
    place = forget_place(engine.run_dir)
    if is_managed:
        systemctl(["daemon-reload"], is_user=args.user)
        if place is not None and not running:
            state = ask_systemctl(["is-active", place.scope], is_user=args.user)
            if state == "active":  # somebody may have ended it, and then it is not known any more
                systemctl(["stop", place.scope], is_user=args.user)
    return running


def _tell(args: argparse.Namespace, changes: list[Change], running: list[str]) -> None:
    if args.output != "table":
        items = [change.to_json() for change in changes]
        emit_data({"items": items, "running": running}, args.output)
        return
    for change in changes:
        emit(f"{'to be removed' if args.dry_run else 'removed'}: {change.path}")
    if not changes:
        emit("nothing to remove: no units are installed")
    if running:
        number = plural(len(running), "container")
        emit(f"left running: {number}; `reconciler destroy --all` ends and removes them")
