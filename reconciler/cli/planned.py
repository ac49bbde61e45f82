"""Keeps a plan in a file, and carries out one that was kept, in the instance that it is for.

Called by `plan --out` and `apply --plan`.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from reconciler.cli.failure import usage_error
from reconciler.cli.instance import make_engine, make_options, sources_of

if TYPE_CHECKING:
    from reconciler.control.plan_file import Instance
    from reconciler.control.progress import Progress
    from reconciler.control.report import PassReport


def save(args: argparse.Namespace, report: PassReport) -> None:
    """Write the report's plan to `args.out`. Raises: as write_plan."""
    from reconciler.control.plan_file import Instance, SavedPlan, absolute, write_plan

    engine = make_engine(args)
    instance = Instance(
        run_dir=engine.run_dir,
        state_dir=engine.state_dir,
        cgroup_parent=_given(args, "cgroup_parent"),
        sources=absolute(sources_of(args)),
    )
    write_plan(args.out, SavedPlan.of(report, instance, make_options(args)))


def apply_saved(args: argparse.Namespace, progress: Progress) -> PassReport:
    """Carry out the plan in `args.plan`.

    Raises: Usage for options that say otherwise; PlanStale, PlanFileInvalid, LockTimeout.
    """
    from reconciler.control.plan_file import read_plan
    from reconciler.control.reconcile import Reconciler

    saved = read_plan(args.plan)
    _check_options(args, saved.instance)
    instance = saved.instance
    args.run_dir, args.state_dir = instance.run_dir, instance.state_dir
    args.cgroup_parent = instance.cgroup_parent
    reconciler = Reconciler(
        make_engine(args), instance.sources, options=saved.options, progress=progress
    )
    return reconciler.apply_saved(saved, lock_timeout_s=args.timeout)


def _check_options(args: argparse.Namespace, instance: Instance) -> None:
    """Refuse what the plan says already, or says otherwise. Raises: Usage."""
    from reconciler.control.plan_file import absolute
    from reconciler.planning.plan import PlanOptions

    if make_options(args) != PlanOptions() or args.dry_run:
        what = "--no-prune, --allow-empty, --max-prune and --dry-run"
        raise usage_error(f"{what} go with the making of a plan, not with apply --plan")
    if args.sources and absolute(args.sources) != instance.sources:
        made_for = ", ".join(instance.sources)
        raise usage_error(f"the plan is for {made_for}; leave out the sources")
    for name, kept in (
        ("run_dir", instance.run_dir),
        ("state_dir", instance.state_dir),
        ("cgroup_parent", instance.cgroup_parent),
    ):
        given = _given(args, name)
        if given is not None and name != "cgroup_parent":
            given = os.path.abspath(given)
        if given not in (None, kept):
            option = f"--{name.replace('_', '-')}"
            raise usage_error(f"the plan is for {option} {kept or 'not given'}, not {given}")


def _given(args: argparse.Namespace, name: str) -> str | None:
    """Return what an option or its variable says, None for neither."""
    chosen: str | None = getattr(args, name) or os.environ.get(f"RECONCILER_{name.upper()}")
    return chosen or None
