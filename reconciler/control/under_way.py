"""Actions that may take their time, carried out beyond the pass that began them.

Called by the daemon's passes: a graceful stop may last a minute, and meanwhile every other
container is to be kept as its file says. What depends on one another stays together, in order;
the rest goes on. Only the main thread calls the methods; the threads only carry out.

    pass --begin--> threads: execute_plan of each group --on_done--> the next pass --take-->
     |                                                                          |
     '--- holds the reconciler's lock until nothing is under way any more -------'
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from reconciler.control.execute import STOP_THREADS, STOPPING, execute_plan
from reconciler.control.outcome import Outcome
from reconciler.control.partial import groups_of
from reconciler.control.ports import EnginePort
from reconciler.control.report import PassReport
from reconciler.control.threads import run_tasks
from reconciler.model.action import (
    Action,
    Plan,
    React,
    Update,
)
from reconciler.model.world import Observed

# What ends within moments makes room (a port, memory) before what is new is started.
_HEAD_START_S = 0.1


class UnderWay:
    """The actions that go on beside the passes of one daemon.

    `on_done` is called in another thread whenever some have ended. `should_stop` as in
    `execute_plan`.
    """

    def __init__(
        self, engine: EnginePort, on_done: Callable[[], None], should_stop: Callable[[], bool]
    ) -> None:
        self._engine = engine
        self._on_done = on_done
        self._should_stop = should_stop
        self._names: set[str] = set()
        self._ended: deque[tuple[tuple[Action, ...], tuple[Outcome, ...]]] = deque()
        self._threads: list[threading.Thread] = []
        self._lock: ExitStack | None = None

    def names(self) -> frozenset[str]:
        """Return the containers that are being acted on, as far as `take` has told."""
        return frozenset(self._names)

    @contextmanager
    def locked(self, lock: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        """Hold the reconciler's lock, and keep it while something is under way.

        Raises: what `lock` raises.
        """
        if self._lock is None:
            with ExitStack() as stack:
                stack.enter_context(lock())
                self._lock = stack.pop_all()
        try:
            yield
        finally:
            if not self._names:
                self._lock.close()
                self._lock = None

    def held_up(self, report: PassReport) -> frozenset[str]:
        """Return the containers that are acted on, and those connected with them by dependencies.

        Those may not be acted on, as one may have to wait for the other.
        """
        groups = groups_of(report)
        busy = {groups[name] for name in self._names if name in groups}
        return frozenset(name for name, group in groups.items() if group in busy)

    def begin(self, report: PassReport) -> tuple[tuple[Action, ...], tuple[Action, ...]]:
        """Begin what may take long, with what is connected with it; return (begun, left)."""
        groups = groups_of(report)
        containers = report.world.containers
        slow: dict[str, list[Action]] = {
            groups[one.name]: [] for one in report.to_do() if may_take_long(one, containers)
        }
        left: list[Action] = []
        for action in report.to_do():
            slow.get(groups[action.name], left).append(action)
        begun = tuple(action for group in slow.values() for action in group)
        if begun:
            self._start([tuple(group) for group in slow.values()])
            if left:
                self._threads[-1].join(_HEAD_START_S)
        return begun, tuple(left)

    def take(self) -> tuple[Outcome, ...]:
        """Return the outcomes of what has ended since the last time."""
        outcomes: list[Outcome] = []
        while self._ended:
            actions, found = self._ended.popleft()
            outcomes += found
            self._names.difference_update(action.name for action in actions)
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return tuple(outcomes)

    def close(self, patience_s: float) -> frozenset[str]:
        """Wait for what is under way for so long; return the names that are left to others."""
        for thread in self._threads:
            thread.join(patience_s)
        self.take()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        return self.names()

    def _start(self, groups: Sequence[tuple[Action, ...]]) -> None:
        self._names.update(action.name for group in groups for action in group)
        tasks = [partial(self._run, group) for group in groups]
        # A daemon thread: a grace of a minute is not to keep the process from ending.
        thread = threading.Thread(
            target=run_tasks, args=(tasks, STOP_THREADS), name="under-way", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _run(self, actions: tuple[Action, ...]) -> None:
        outcomes = execute_plan(self._engine, Plan(actions=actions), should_stop=self._should_stop)
        self._ended.append((actions, outcomes))
        self._on_done()


def may_take_long(action: Action, world: Mapping[str, Observed]) -> bool:
    """Tell whether an action stops something, runs a command in it or has it give memory back."""
    if isinstance(action, React):
        return True
    if isinstance(action, Update):
        return any(change.field.startswith("resources.memory") for change in action.changes)
    observed = world.get(action.name)
    is_alive = observed is None or observed.status.has_processes()  # None: nobody could look
    return is_alive and isinstance(action, STOPPING)
