"""The passes of a daemon, one after another: `Reconciler.run_pass` that holds up nobody.

Called by `reconciler.daemon`. What may take long goes on beside the passes (`under_way`), and an
event that names containers has those looked at alone (`partial`), until the next whole pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from reconciler.control.news import tell_news
from reconciler.control.observe import desired_limits, observe
from reconciler.control.outcome import Outcome
from reconciler.control.partial import narrow, scope_of, widen
from reconciler.control.ports import EnginePort
from reconciler.control.progress import Progress
from reconciler.control.reconcile import LOCK_TIMEOUT_S, Reconciler
from reconciler.control.report import PassReport
from reconciler.control.under_way import UnderWay
from reconciler.model.frozen import replace
from reconciler.model.world import Failure
from reconciler.planning.plan import PlanOptions, make_plan


class ContinuousReconciler(Reconciler):
    """A reconciler that remembers what it has seen from one pass to the next.

    `on_done` is called, in another thread, when actions beside the passes have ended. The other
    arguments are `Reconciler`'s.
    """

    def __init__(
        self,
        engine: EnginePort,
        sources: Sequence[str],
        *,
        options: PlanOptions,
        should_stop: Callable[[], bool],
        progress: Progress,
        on_done: Callable[[], None],
    ) -> None:
        super().__init__(
            engine, sources, options=options, should_stop=should_stop, progress=progress
        )
        self._under_way = UnderWay(engine, on_done, should_stop)
        self._last: PassReport | None = None

    def run_pass(
        self,
        *,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
        names: Collection[str] | None = None,
    ) -> PassReport:
        """Make one plan, carry out what is quick and begin the rest.

        `names`: only these containers, and those connected with them, need to be looked at, if
        what the last pass has seen allows it. Raises: as `Reconciler.run_pass`.
        """
        with self._under_way.locked(partial(self._engine.lock, lock_timeout_s)):
            last, self._last = self._last, None  # none to build on if this one fails
            ended = self._under_way.take()
            scope = None
            if last is not None and names is not None and not ended:
                scope = scope_of(names, last)
            if last is not None and scope is not None:
                report = self._pass_of(last, scope)
            else:
                report = self._pass_of_all(ended)
            self._last = report
            return report

    def close(self, patience_s: float) -> frozenset[str]:
        """Wait for what is under way for so long; return the names that are left to others."""
        return self._under_way.close(patience_s)

    def is_acting(self) -> bool:
        """Tell whether a thread may still call `on_done`."""
        return bool(self._under_way.names())

    def _pass_of_all(self, ended: tuple[Outcome, ...]) -> PassReport:
        found = self._look_first(self._options)
        if ended:
            failures = self._remember(found.desired, found.world, ended)
            if failures != found.world.failures:  # the plan must wait its backoff
                found = self._look(self._options, failures)
            found = replace(found, outcomes=ended)
        return self._conclude(self._act_beside(found, partial(self._look, self._options)))

    def _pass_of(self, last: PassReport, scope: frozenset[str]) -> PassReport:
        look = partial(self._look_at, last, scope)
        return self._conclude(self._act_beside(look(), look), scope)

    def _look_at(
        self, last: PassReport, scope: frozenset[str], failures: dict[str, Failure] | None = None
    ) -> PassReport:
        """Observe and plan the names in `scope`, by the files as they were loaded last."""
        desired = narrow(last.desired, scope)
        world = observe(self._engine, self._clock, scope, self._seen, self._boot_clock)
        if failures is not None:
            world = replace(world, failures=failures)
        limits = desired_limits(self._engine, desired.specs, world)
        report = widen(last, world, make_plan(desired, world, limits, self._options), scope)
        tell_news(self._engine, report, scope)
        return report

    def _act_beside(
        self, found: PassReport, look: Callable[[dict[str, Failure]], PassReport]
    ) -> PassReport:
        """Begin what may take long, and do the rest of the plan and look again."""
        report = replace(found, held_up=self._under_way.held_up(found))
        if not report.to_do():
            return report
        begun, left = self._under_way.begin(report)
        if left:
            report = self._act(replace(report, plan=replace(report.plan, actions=left)), look)
        return replace(report, begun=begun, held_up=self._under_way.held_up(report))
