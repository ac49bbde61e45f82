"""The model of the kernel under fire: the fake engine with a fuse, and with eyes of its own.

Called by the state machine of test_model.py. The fuse is a SIGKILL of the reconciler at any call
of the engine: what runs out of it is dead, and so is each later call, its clean-up too, until
`revive`. What starts is looked at in the moment that it does, and what stops is noted in order.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.control.notes import decode_spec
from reconciler.model.frozen import replace
from reconciler.model.record import Record
from reconciler.model.spec import DependencyCondition, DesiredState, Spec
from reconciler.model.state import ExitStatus, Status
from tests.fakes.engine import Cell, FakeEngine

_LOOKS = frozenset({"status", "limits", "wait"})


class Killed(BaseException):
    """SIGKILL: nothing of the reconciler runs on."""


class ModelKernel(FakeEngine):
    """Containers in memory; `touched` are those that were changed, `wrong` is what must not be.

    `stops` are the names in the order of their stops, each with what depended on it and ran;
    `ended` are those whose last run ended by itself.
    """

    def __init__(self, run_dir: str, state_dir: str, clock: Callable[[], float]) -> None:
        super().__init__(run_dir, state_dir, clock)
        self.fuse: int | None = None
        self.is_dead = False
        self.touched: set[str] = set()
        self.wrong: list[str] = []
        self.stops: list[tuple[str, frozenset[str]]] = []
        self.ended: set[str] = set()

    def note(self, verb: str, name: str) -> None:
        if self.fuse is not None:
            self.is_dead = self.is_dead or self.fuse <= 0
            self.fuse -= 1
        if self.is_dead:
            raise Killed
        if verb not in _LOOKS:
            self.touched.add(name)
        if verb == "start":
            self._look_at_start(name)
        if verb.startswith("stop"):
            self.stops.append((name, self._running_dependents(name)))
        super().note(verb, name)
        if verb == "start":
            self.ended.discard(name)

    def revive(self) -> None:
        """Let a fresh reconciler come: the lock of a dead process is free."""
        self.fuse, self.is_dead, self.is_locked = None, False, False

    def begin_pass(self) -> None:
        """Forget what the last pass has done."""
        self.touched.clear()
        self.stops.clear()
        self.calls.clear()

    # --- interference

    def reboot(self) -> None:
        """Take all processes away; nobody has seen how they ended."""
        for cell in self.cells.values():
            if cell.status.has_processes():
                cell.record = replace(cell.record, exit=None)
                cell.status, cell.limits = Status.STOPPED, {}
        self.ended |= self.cells.keys()

    def end_by_itself(self, name: str, code: int | None, signal: int | None) -> None:
        """Have an init end; with neither code nor signal nobody has seen how."""
        self.end(name, code, signal)
        self.ended.add(name)

    def add_foreign(self, name: str, record: Record, status: Status) -> None:
        """Put a container there that is not the reconciler's, or not this source's."""
        record = replace(record, exit=self._exit() if status is Status.STOPPED else None)
        self.cells[name] = Cell(record, status)

    def _exit(self) -> ExitStatus:
        return ExitStatus(code=1, signal=None, oom=False, at=self.clock())

    # --- what is seen in the moment

    def spec_of(self, name: str) -> Spec | None:
        """Return the spec that a container's record notes."""
        cell = self.cells.get(name)
        if cell is None:
            return None
        return decode_spec(name, cell.record.annotations, cell.record.config)

    def _look_at_start(self, name: str) -> None:
        if self.cells[name].status.has_processes():
            self.wrong.append(f"{name} was started twice")
        spec = self.spec_of(name)
        if spec is None or spec.state is DesiredState.STOPPED:
            return
        for one in spec.depends_on:
            if not self._fulfils(one.name, one.condition):
                self.wrong.append(f"{name} was started, and {one.name} is not {one.condition}")

    def _fulfils(self, name: str, condition: DependencyCondition) -> bool:
        cell = self.cells.get(name)
        if cell is None:
            return False
        ended = cell.record.exit
        has_completed = cell.status is Status.STOPPED and ended is not None and ended.is_success()
        match condition:
            case DependencyCondition.COMPLETED:
                return has_completed
            case DependencyCondition.READY:
                return cell.status is Status.RUNNING
            case DependencyCondition.STARTED:
                return cell.status is Status.RUNNING or has_completed

    def _running_dependents(self, name: str) -> frozenset[str]:
        found = set()
        for other, cell in self.cells.items():
            spec = self.spec_of(other)
            if spec is not None and cell.status.has_processes():
                found |= {other for one in spec.depends_on if one.name == name}
        return frozenset(found)
