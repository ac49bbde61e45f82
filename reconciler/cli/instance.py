"""From the options of every verb to the instance they mean: its engine, its logs, its sources.

Called by the verbs. Importing it is cheap; the layers below are loaded when they are needed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.control.progress import Progress
    from reconciler.control.reconcile import Reconciler
    from reconciler.engine.engine import Engine
    from reconciler.planning.plan import PlanOptions


def make_engine(args: argparse.Namespace) -> Engine:
    """Return the engine of the chosen directories. Raises: CgroupUnavailable, SystemError."""
    from reconciler.engine.engine import Engine
    from reconciler.errors import ErrorCode, from_os_error

    try:
        return Engine(
            run_dir=args.run_dir, state_dir=args.state_dir, cgroup_parent=args.cgroup_parent
        )
    except OSError as error:
        raise from_os_error(
            error, "cannot use the cgroups of this host", ErrorCode.CgroupUnavailable
        ) from error


def configure_logs(args: argparse.Namespace, *, is_told_on_stdout: bool = False) -> None:
    """Have the layers below write their log to standard error.

    `is_told_on_stdout`: what is done is printed as well, so that text for people need not say
    it twice and has what went wrong alone.
    """
    from reconciler.control import logs

    form = log_form(args)
    level = "WARNING" if is_told_on_stdout and form == "text" else "INFO"
    logs.configure(sys.stderr, form=form, level="DEBUG" if args.debug else level)


def log_form(args: argparse.Namespace) -> str:
    """Return the form of the log: as asked for, else text on a terminal, and json elsewhere.

    journal: standard error leads to systemd's journal, which takes structured records.
    """
    if args.log_format:
        return str(args.log_format)
    if sys.stderr.isatty():
        return "text"
    return "journal" if is_journal() else "json"


def is_journal() -> bool:
    """Tell whether standard error leads to systemd's journal."""
    if "JOURNAL_STREAM" not in os.environ:
        return False
    from reconciler.linux.journal import is_journal as is_journal_fd

    try:
        return is_journal_fd(sys.stderr.fileno())
    except (OSError, ValueError):  # no file at all: a test's
        return False


def make_options(args: argparse.Namespace) -> PlanOptions:
    """Return what the user allows a plan to do (see `arguments.add_plan_options`)."""
    from reconciler.planning.plan import PlanOptions

    return PlanOptions(
        prune=not args.no_prune, allow_empty=args.allow_empty, max_prune_percent=args.max_prune
    )


def make_reconciler(args: argparse.Namespace, progress: Progress | None = None) -> Reconciler:
    """Return the reconciler of the sources that were given, or the default one."""
    from reconciler.control.progress import Progress
    from reconciler.control.reconcile import Reconciler

    return Reconciler(
        make_engine(args),
        sources_of(args),
        options=make_options(args),
        progress=progress or Progress(),
    )


def make_progress(args: argparse.Namespace) -> Progress:
    """Return what shows progress to people at a terminal, and nothing to anybody else."""
    from reconciler.control.progress import Progress

    if args.output != "table" or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return Progress()
    from reconciler.cli.progress import TerminalProgress

    return TerminalProgress()


def sources_of(args: argparse.Namespace) -> Sequence[str]:
    """Return the sources that were given, or the default one."""
    return list(args.sources) or [default_source()]


def default_source() -> str:
    """Return /etc/reconciler, or for a user other than root the same below XDG_CONFIG_HOME."""
    if os.geteuid() == 0:
        return "/etc/reconciler"
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(config, "reconciler")
