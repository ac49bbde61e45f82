"""Model-checked convergence: whatever happens in whatever order, worlds come to rest as desired.

The loader, the planner and the executor are the real ones, over files; below them is a model of
the kernel (kernel.py). Edits, crashes of the reconciler at any call of the engine, interference,
commands by hand and time come in random order; after them passes must come to rest: in a bounded
number, with nothing left to do, nothing foreign touched, nothing done twice, in the order of
dependencies.

The long form: `RECONCILER_FIRE_CASES=30000 tests/run tests/fire/test_model.py`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from reconciler.control import by_hand, execute
from reconciler.control.notes import encode_spec
from reconciler.control.reconcile import MAX_PASSES, Reconciler
from reconciler.control.report import PassReport
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.config import Config
from reconciler.model.record import Record
from reconciler.model.spec import Suspend
from reconciler.model.state import Status
from reconciler.planning.plan import PlanOptions
from tests.fire.check import check_rest, check_stops
from tests.fire.kernel import Killed, ModelKernel
from tests.fire.specs import BROKEN, NAMES, edits, for_name
from tests.unit.control.conftest import FakeClock
from tests.unit.planning.world_model import make_spec

CASES = int(os.environ.get("RECONCILER_FIRE_CASES", "2000"))
STEPS = 20
names = st.sampled_from(NAMES)

# Whatever fails in a pass of the machine was made to fail by it, with this.
BROKEN_COMMAND = ReconcilerError(ErrorCode.CommandNotFound, "cannot start it: no such command")


class World(RuleBasedStateMachine):
    """One source directory, one engine, one clock."""

    passes = 0
    actions = 0

    def __init__(self) -> None:
        super().__init__()
        self.base = tempfile.mkdtemp(prefix="rc-fire-", dir=_memory_dir())
        self.source, *rest = (os.path.join(self.base, one) for one in ("src", "run", "state"))
        for path in (self.source, *rest):
            os.mkdir(path)
        self.clock = FakeClock()
        self.kernel = ModelKernel(rest[0], rest[1], self.clock)
        self.files: dict[str, dict[str, Any] | None] = {}
        self.reconciler = self.make_reconciler()

    def make_reconciler(self) -> Reconciler:
        options = PlanOptions(allow_empty=True, max_prune_percent=100)
        return Reconciler(self.kernel, [self.source], options=options, clock=self.clock)

    # --- files

    @initialize(documents=st.lists(st.lists(edits(), max_size=3), min_size=1, max_size=len(NAMES)))
    def begin(self, documents: list[list[tuple[str, Any]]]) -> None:
        for name, changes in zip(NAMES, documents, strict=False):
            self.create(name, changes)
        self.run_pass()

    @rule(name=names, changes=st.lists(edits(), max_size=3))
    def create(self, name: str, changes: list[tuple[str, Any]]) -> None:
        document = {"command": ["/bin/a"], **{field: value for field, value in changes if value}}
        self.write(name, document)

    @precondition(lambda self: self.files)
    @rule(name=names, change=edits())
    def edit(self, name: str, change: tuple[str, Any]) -> None:
        before, (field, value) = self.files.get(name), change
        if before is not None:
            kept = {key: one for key, one in before.items() if key != field}
            self.write(name, kept | ({} if value is None else {field: value}))

    @rule(name=names)
    def delete(self, name: str) -> None:
        if self.files.pop(name, name) != name:
            os.unlink(self.path_of(name))

    @precondition(lambda self: self.files)
    @rule(name=names, text=st.sampled_from(BROKEN))
    def break_file(self, name: str, text: str) -> None:
        self.files[name] = None
        with open(self.path_of(name), "w") as stream:
            stream.write(text)

    # --- the reconciler, and its death

    @rule()
    def reconcile(self) -> None:
        self.run_pass()

    @rule()
    def reconcile_again(self) -> None:  # rules are drawn alike: so it comes as often as it should
        self.run_pass()

    @rule(calls=st.integers(0, 30))
    def kill_reconciler(self, calls: int) -> None:
        self.kernel.fuse = calls
        try:
            self.reconciler.converge()
        except Killed:
            self.reconciler = self.make_reconciler()
        self.kernel.revive()

    @precondition(lambda self: self.kernel.cells)
    @rule(name=names, verb=st.sampled_from(["start", "start", "set", "pause", "create"]))
    def let_fail(self, name: str, verb: str) -> None:
        self.kernel.failing[verb, name] = BROKEN_COMMAND

    @precondition(lambda self: self.kernel.failing)
    @rule()
    def repair(self) -> None:
        self.kernel.failing.clear()

    # --- inits and interference

    @precondition(lambda self: self.kernel.cells)
    @rule(name=names, code=st.sampled_from([0, 1, 78, None, None]), is_seen=st.booleans())
    def end_init(self, name: str, code: int | None, is_seen: bool) -> None:
        cell = self.kernel.cells.get(name)
        if cell is not None and cell.status.has_processes() and self.is_managed(name):
            self.kernel.end_by_itself(name, code, 9 if code is None and is_seen else None)

    @precondition(lambda self: self.kernel.cells)
    @rule(name=names, status=st.sampled_from([Status.PAUSED, Status.RUNNING]))
    def freeze_or_thaw(self, name: str, status: Status) -> None:
        cell = self.kernel.cells.get(name)
        if cell is not None and cell.status.has_processes() and self.is_managed(name):
            cell.status = status

    @precondition(lambda self: self.kernel.cells)
    @rule(name=names, limit=st.sampled_from([None, 3]))
    def relimit(self, name: str, limit: int | None) -> None:
        cell = self.kernel.cells.get(name)
        if cell is not None and cell.limits:
            cell.limits["resources.pids.max"] = limit

    @precondition(lambda self: self.kernel.cells)
    @rule(name=names, is_whole=st.booleans())
    def damage_record(self, name: str, is_whole: bool) -> None:
        if name in self.kernel.cells and self.is_managed(name):
            del self.kernel.cells[name]
            if not is_whole:
                self.kernel.corrupt.add(name)

    @precondition(lambda self: self.kernel.cells)
    @rule()
    def reboot(self) -> None:
        self.kernel.reboot()

    @rule(
        name=st.sampled_from([*NAMES, "other"]),
        status=st.sampled_from([Status.CREATED, Status.RUNNING, Status.PAUSED, Status.STOPPED]),
        is_reconcilers=st.booleans(),
    )
    def add_foreign(self, name: str, status: Status, is_reconcilers: bool) -> None:
        if name in self.kernel.cells or name in self.kernel.corrupt:
            return
        config = Config(command=("/bin/foreign",))
        notes = encode_spec(make_spec(name, source="/srv/foreign")) if is_reconcilers else {}
        record = Record(id=name, config=config, created_at=1.0, annotations=notes)
        self.kernel.add_foreign(name, record, status)

    # --- by hand, and time

    @precondition(lambda self: self.kernel.cells)
    @rule(name=names, verb=st.sampled_from(["pause", "resume", "suspend", "unsuspend"]))
    def command(self, name: str, verb: str) -> None:
        if name not in self.kernel.cells or not self.is_managed(name):
            return
        container = self.kernel.load(name)
        is_alive = container.status().has_processes()
        if verb == "suspend":
            by_hand.suspend(container, Suspend(until=self.clock.now + 20))
        elif verb == "unsuspend":
            by_hand.unsuspend(container)
        elif is_alive:
            with contextlib.suppress(ReconcilerError):  # it was made to fail, and the user is told
                if verb == "pause":
                    by_hand.pause(container, self.clock.now)
                else:
                    by_hand.resume(container)

    @rule(seconds=st.sampled_from([0.5, 2.0, 10.0, 61.0, -30.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    # --- and rest

    @rule()
    def settle(self) -> None:
        self.come_to_rest()

    @rule()
    def settle_again(self) -> None:
        self.come_to_rest()

    def teardown(self) -> None:
        try:
            self.come_to_rest()
            self.kernel.failing.clear()
            self.come_to_rest()
            self.pass_time()
        finally:
            shutil.rmtree(self.base)

    def come_to_rest(self) -> PassReport:
        """Converge, and see that a further pass finds nothing to do."""
        foreign = self.foreign()
        report = self.watch_pass(self.reconciler.converge)
        limit = MAX_PASSES * (len(NAMES) + 1)
        assert len(report.outcomes) <= limit, [one.action.describe() for one in report.outcomes]
        assert report.plan.actions == ()
        again = self.watch_pass(self.reconciler.run_pass)
        assert [one.action.describe() for one in again.outcomes] == []
        assert again.plan == report.plan
        assert self.foreign() == foreign
        check_rest(again, self.kernel, self.source, self.files)
        return again

    def pass_time(self) -> None:
        """Let all waits end, one after another: what is done then is done once."""
        done: list[tuple[str, str, str]] = []
        report = self.come_to_rest()
        for _ in range(20):
            due = report.next_due()
            if due is None:
                return
            self.clock.now = max(self.clock.now, due)
            report = self.watch_pass(self.reconciler.run_pass)
            done += [
                (one.action.verb, one.action.name, one.action.reason)
                for one in report.outcomes
                if "deadline" not in self.files_of(one.action.name)
            ]
            assert len(done) == len(set(done)), done
        assert any("deadline" in self.files_of(name) for name in NAMES), report.plan.waits

    def run_pass(self) -> None:
        self.watch_pass(self.reconciler.run_pass)

    def watch_pass(self, run: Any) -> PassReport:
        """Run passes, and check what has to be true of each action."""
        foreign = {name for name in self.kernel.cells if not self.is_managed(name)}
        self.kernel.begin_pass()
        report: PassReport = run()
        World.passes += 1
        World.actions += len(report.outcomes)
        assert self.kernel.wrong == []
        assert not foreign & self.kernel.touched
        unexpected = [
            one.error.detail()
            for one in report.outcomes
            if one.error is not None and one.error is not BROKEN_COMMAND
        ]
        assert unexpected == []
        check_stops(report, self.kernel.stops)
        return report

    # --- what is known

    def write(self, name: str, document: dict[str, Any]) -> None:
        self.files[name] = for_name(name, document)
        with open(self.path_of(name), "w") as stream:
            json.dump(self.files[name], stream)

    def path_of(self, name: str) -> str:
        return os.path.join(self.source, f"{name}.yaml")

    def files_of(self, name: str) -> dict[str, Any]:
        return self.files.get(name) or {}

    def is_managed(self, name: str) -> bool:
        spec = self.kernel.spec_of(name)
        return spec is not None and spec.source == self.source

    def foreign(self) -> dict[str, tuple[Record, Status]]:
        cells = self.kernel.cells.items()
        return {
            name: (cell.record, cell.status) for name, cell in cells if not self.is_managed(name)
        }


def _memory_dir() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, so that the same calls come in the same order; no log of thousands of worlds."""
    monkeypatch.setattr(execute, "THREADS", 1)
    monkeypatch.setattr(execute, "STOP_THREADS", 1)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("quiet")
def test_every_world_comes_to_rest_as_desired(capsys: pytest.CaptureFixture[str]) -> None:
    World.passes = World.actions = 0
    run_state_machine_as_test(
        World, settings=settings(max_examples=CASES, stateful_step_count=STEPS)
    )
    with capsys.disabled():
        print(f" {CASES} worlds, {World.passes} passes, {World.actions} actions ", end="")
