"""The pass: load -> observe -> diff -> plan -> execute -> report; and passes until nothing is left.

Called by the command line and the daemon, who differ only in what wakes them. A pass is
level-triggered and crash-only: it keeps nothing but the loader's cache from one to the next,
and one that is cut off is finished by the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from reconciler.control.drift import Drift, find_all_drift
from reconciler.control.enforcement import leave_out_preferred
from reconciler.control.execute import execute_plan
from reconciler.control.failures import next_failures, standing_failures, write_failures
from reconciler.control.logs import log_failure
from reconciler.control.news import tell_news
from reconciler.control.observe import Seen, desired_limits, observe
from reconciler.control.old_logs import remove_old_logs
from reconciler.control.outcome import Outcome
from reconciler.control.partial import groups_of
from reconciler.control.patience import Patience
from reconciler.control.ports import EnginePort
from reconciler.control.probes.rounds import probe_due
from reconciler.control.progress import Progress
from reconciler.control.report import PassReport
from reconciler.control.source_groups import note_sources
from reconciler.control.status import status_items
from reconciler.control.transitions import (
    next_transitions,
    read_transitions,
    write_transitions,
)
from reconciler.errors import ReconcilerError
from reconciler.linux.clock import boot_s, wall_s
from reconciler.model.action import Start, StopAction
from reconciler.model.frozen import replace
from reconciler.model.world import Desired, Failure, World
from reconciler.planning.plan import PlanOptions, make_plan

if TYPE_CHECKING:
    from reconciler.control.plan_file import SavedPlan
    from reconciler.loader.load import Loader
    from reconciler.loader.watched import Watched

MAX_PASSES = 5
LOCK_TIMEOUT_S = 10.0


class Reconciler:
    """Keeps the containers of one engine equal to some sources (directories or files).

    `clock` gives wall-clock seconds, `boot_clock` those since boot. `should_stop` is asked before
    each action: once it says so, no more is begun. `progress` is told how far it has come.
    """

    def __init__(
        self,
        engine: EnginePort,
        sources: Sequence[str],
        *,
        options: PlanOptions = PlanOptions(),  # noqa: B008  (frozen)
        clock: Callable[[], float] = wall_s,
        boot_clock: Callable[[], float] = boot_s,
        should_stop: Callable[[], bool] = lambda: False,
        progress: Progress = Progress(),  # noqa: B008  (it has no state)
    ) -> None:
        self._engine = engine
        self._sources = sources
        self._options = options
        self._clock = clock
        self._boot_clock = boot_clock
        self._should_stop = should_stop
        self._progress = progress
        self._seen: dict[str, Seen] = {}
        self._concluded: PassReport | None = None

    def plan(self) -> PassReport:
        """Return what a pass would do now. Changes nothing and takes no lock.

        Raises: ReconcilerError when the records cannot be listed.
        """
        return self._look(self._options, is_pass=False)

    def drift(self) -> tuple[PassReport, Drift]:
        """Return what a pass would see, and by name what is not as its spec says.

        Changes nothing and takes no lock. Raises: ReconcilerError as `plan`.
        """
        report = self._look(self._options, is_pass=False)
        limits = desired_limits(self._engine, report.desired.specs, report.world)
        return report, find_all_drift(report, limits)

    def run_pass(self, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> PassReport:
        """Make one plan and carry it out.

        Raises: LockTimeout; ReconcilerError when the records cannot be listed. What goes wrong
        with one container is in the report.
        """
        with self._engine.lock(lock_timeout_s):
            found = self._look_first(self._options)
            return self._conclude(self._act(found) if found.plan.actions else found)

    def apply_saved(
        self, saved: SavedPlan, *, lock_timeout_s: float = LOCK_TIMEOUT_S
    ) -> PassReport:
        """Carry out exactly the actions of a saved plan, or none of them.

        Raises: PlanStale; as run_pass.
        """
        with self._engine.lock(lock_timeout_s):
            found = self._look(self._options)
            report = self._act(replace(found, plan=saved.select(found)))
            return self._conclude(self._start_again(report))

    def converge(
        self,
        *,
        retry_failed: bool = True,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
        wait_s: float = 0.0,
    ) -> PassReport:
        """Make passes until there is nothing to do now, with at most MAX_PASSES on one container.

        While something depends on what may yet come, that is waited for, for `wait_s` in all.
        Probes that are due, and that no daemon sees to, are checked once before.
        `retry_failed`: what failed before is tried once without waiting for its backoff.
        Raises: as run_pass.
        """
        deadline = time.monotonic() + wait_s
        patience = Patience(MAX_PASSES)
        with self._engine.lock(lock_timeout_s):
            first = replace(self._options, retry_failed=retry_failed)
            report = self._look_first(first)
            if probe_due(self._engine, report.probed()):
                report = self._look(first)
            is_over = not report.plan.actions and not (wait_s and report.is_awaiting())
            if is_over and report.world.failures:  # nothing is retried: show what comes then
                report = self._look(self._options)
            report = self._act_until_done(report, patience)
        if not wait_s or not report.is_awaiting():
            return report
        from reconciler.control.awaiting import Awaiting

        with Awaiting(self._engine) as awaiting:
            while True:
                with self._engine.lock(lock_timeout_s):
                    report = self._act_until_done(self._look_again(report), patience)
                left = deadline - time.monotonic()
                is_stuck = bool(report.plan.actions) or not report.is_awaiting()
                if left <= 0 or is_stuck or self._should_stop():
                    return report
                self._progress.say(f"waiting: {report.unmet()[0].reason} ...")
                awaiting.wait(report, left)

    def _act_until_done(self, report: PassReport, patience: Patience) -> PassReport:
        while patience.lasts_for(report.plan.actions) and not self._should_stop():
            report = self._act(report)
        return self._conclude(report)

    def _look_again(self, report: PassReport) -> PassReport:
        return replace(self._look(self._options), outcomes=report.outcomes)

    def watched_paths(self) -> Watched:
        """Return the directories to watch for changes of what the last pass has loaded."""
        return self._loader.watched_paths(self._sources)

    @cached_property
    def _loader(self) -> Loader:
        from reconciler.loader.load import Loader

        return Loader(self._engine.state_dir, tell=log_failure)

    def _look(
        self,
        options: PlanOptions,
        failures: dict[str, Failure] | None = None,
        *,
        is_pass: bool = True,
    ) -> PassReport:
        """Load, observe and plan. `failures` replace those on disk, which may be full."""
        desired = self._loader.load(self._sources, keeps_good=is_pass)
        world = observe(self._engine, self._clock, seen=self._seen, boot_clock=self._boot_clock)
        if failures is not None:
            world = replace(world, failures=failures)
        desired, unenforced = leave_out_preferred(self._engine, desired)
        limits = desired_limits(self._engine, desired.specs, world)
        plan = make_plan(desired, world, limits, options)
        known = read_transitions(self._engine.run_dir)
        report = PassReport(
            desired=desired, world=world, plan=plan, transitions=known, unenforced=unenforced
        )
        if is_pass:
            tell_news(self._engine, report)
        return report

    def _look_first(self, options: PlanOptions) -> PassReport:
        """Look, and clear up what earlier passes have left.

        That is: what lost records have left among the strangers in containers' cgroups, logs
        that have been nobody's for long, and failures of what is as it should be.
        """
        report = self._look(options)
        strangers = [one for each in report.world.containers.values() for one in each.strangers]
        if strangers:
            self._engine.end_orphans(int(one.split()[0]) for one in strangers)
        remove_old_logs(self._engine, report.desired, report.world)
        failures = standing_failures(report.desired, report.world, report.plan)
        if failures != report.world.failures:
            self._write_failures(failures)
            report = replace(report, world=replace(report.world, failures=failures))
        return report

    def _conclude(self, report: PassReport, names: Collection[str] | None = None) -> PassReport:
        """Write since when each condition is as it is, and the sources, where that has changed.

        `names`: of these alone something can have changed.
        """
        note_sources(self._engine.state_dir, [one.path for one in report.desired.sources])
        known, self._concluded = self._concluded, None
        if known is not None and report.is_as(known):
            self._concluded = known
            return report
        items = status_items(report, names)
        after = next_transitions(report.transitions, items, report.world.now)
        if names is not None:
            after = {**report.transitions, **after}
        if after != report.transitions:
            write_transitions(self._engine.run_dir, after)
        concluded = replace(report, transitions=after)
        self._concluded = concluded if names is None else None
        return concluded

    def _act(
        self,
        report: PassReport,
        look: Callable[[dict[str, Failure]], PassReport] | None = None,
    ) -> PassReport:
        """Carry out the report's plan and look again."""
        outcomes = execute_plan(
            self._engine,
            report.plan,
            groups=groups_of(report),
            should_stop=self._should_stop,
            progress=self._progress,
        )
        failures = self._remember(report.desired, report.world, outcomes)
        after = look(failures) if look is not None else self._look(self._options, failures)
        return replace(after, outcomes=report.outcomes + outcomes)

    def _start_again(self, report: PassReport) -> PassReport:
        """Start what a saved plan has stopped only for the time of another's restart."""
        stopped = {
            one.action.name
            for one in report.outcomes
            if isinstance(one.action, StopAction) and one.action.is_to_restart
        }
        starts = tuple(
            one for one in report.plan.actions if isinstance(one, Start) and one.name in stopped
        )
        if not starts:
            return report
        return self._act(replace(report, plan=replace(report.plan, actions=starts)))

    def _remember(
        self, desired: Desired, world: World, outcomes: tuple[Outcome, ...]
    ) -> dict[str, Failure]:
        """Write which actions failed, where that has changed, and return it."""
        known = desired.specs.keys() | world.containers.keys() | world.unobserved.keys()
        failures = next_failures(world.failures, outcomes, known, self._clock())
        if failures != world.failures:
            self._write_failures(failures)
        return failures

    def _write_failures(self, failures: dict[str, Failure]) -> None:
        try:
            write_failures(self._engine.run_dir, failures)
        except ReconcilerError as error:
            log_failure(error)
