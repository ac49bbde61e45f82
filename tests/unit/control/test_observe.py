"""What is observed of each container, and that one in trouble hides no other."""

from __future__ import annotations

import pytest

from reconciler.control.failures import FILE
from reconciler.control.notes import encode_memory, encode_spec
from reconciler.control.observe import desired_limits, observe
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.state import Status
from reconciler.model.world import RestartMemory
from tests.fakes.engine import FakeContainer, FakeEngine
from tests.unit.planning.world_model import NOW, make_resources, make_spec

SPEC = make_spec(resources=make_resources(memory=100_000, pids=5))
MEMORY = RestartMemory(count=2, failures=1)


def start(engine: FakeEngine, name: str = "web") -> None:
    spec = make_spec(name, resources=SPEC.config.resources)
    engine.create(name, spec.config, encode_spec(spec) | encode_memory(MEMORY)).start()


def test_a_running_container_is_seen_with_its_spec_limits_and_memory(engine: FakeEngine) -> None:
    start(engine)
    world = observe(engine, lambda: NOW)
    assert world.now == NOW
    observed = world.containers["web"]
    assert observed.spec == SPEC
    assert observed.source == "/etc/specs"
    assert (observed.status, observed.pid, observed.started_at) == (
        Status.RUNNING,
        2**22 + 101,
        NOW,
    )
    assert observed.memory == MEMORY
    assert observed.limits == {
        "resources.memory.max": 98_304,
        "resources.pids.max": 5,
        "resources.cpu.max": None,
    }


def test_an_ended_container_has_an_exit_and_neither_pid_nor_limits(engine: FakeEngine) -> None:
    start(engine)
    engine.end("web", 3)
    observed = observe(engine, lambda: NOW).containers["web"]
    assert observed.last_exit is not None
    assert (observed.status, observed.last_exit.code) == (Status.STOPPED, 3)
    assert (observed.pid, observed.limits) == (None, {})
    assert "limits" not in engine.verbs("web")


def test_a_container_of_somebody_else_is_seen_without_a_spec(engine: FakeEngine) -> None:
    engine.create("web", SPEC.config, {"theirs": "1"})
    observed = observe(engine, lambda: NOW).containers["web"]
    assert (observed.spec, observed.source, observed.config) == (None, None, SPEC.config)


def test_one_that_cannot_be_looked_at_hides_no_other(engine: FakeEngine) -> None:
    start(engine)
    start(engine, "db")
    engine.failing["status", "db"] = ReconcilerError(ErrorCode.PermissionDenied, "cannot", path="/")
    engine.corrupt.add("old")
    world = observe(engine, lambda: NOW)
    assert list(world.containers) == ["web"]
    assert {name: one.name for name, one in world.unobserved.items()} == {
        "db": "PermissionDenied",
        "old": "RecordCorrupt",
    }


def test_an_exit_noted_during_the_look_does_not_lie_in_the_future(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(engine)
    looked: list[str] = []
    handle = engine.handle

    def note(name: str) -> FakeContainer:
        looked.append(name)
        return handle(name)

    monkeypatch.setattr(engine, "handle", note)
    assert observe(engine, lambda: NOW + len(looked)).now == NOW + 1


def test_a_container_that_is_destroyed_meanwhile_is_not_there(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(engine)
    monkeypatch.setattr(engine.store, "ids", lambda: ["web"])
    engine.cells.clear()
    world = observe(engine, lambda: NOW)
    assert (world.containers, world.unobserved) == ({}, {})


@pytest.mark.parametrize("code", [ErrorCode.ContainerDestroyed, ErrorCode.ContainerNotRunning])
def test_a_container_that_ends_while_its_limits_are_read_shows_none(
    engine: FakeEngine, code: ErrorCode
) -> None:
    start(engine)
    engine.failing["limits", "web"] = ReconcilerError(code, "gone")
    assert observe(engine, lambda: NOW).containers["web"].limits == {}


def test_limits_that_cannot_be_read_while_it_runs_are_trouble(engine: FakeEngine) -> None:
    start(engine)
    engine.failing["limits", "web"] = ReconcilerError(ErrorCode.SystemError, "cannot read")
    assert observe(engine, lambda: NOW).unobserved["web"].message == "cannot read"


def test_desired_limits_are_what_the_kernel_would_show_of_what_runs(engine: FakeEngine) -> None:
    start(engine)
    engine.create("off", SPEC.config, encode_spec(make_spec("off")))
    world = observe(engine, lambda: NOW)
    wanted = make_spec(resources=make_resources(pids=9))
    assert desired_limits(engine, {"web": wanted, "new": make_spec("new")}, world) == {
        "web": {"resources.memory.max": None, "resources.pids.max": 9, "resources.cpu.max": None}
    }
    assert desired_limits(engine, {}, world)["web"]["resources.pids.max"] == 5  # its last good


def test_a_damaged_list_of_failures_is_logged_and_taken_for_empty(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    with open(f"{engine.run_dir}/{FILE}", "w") as stream:
        stream.write("{")
    assert observe(engine, lambda: NOW).failures == {}
    (record,) = caplog.records
    assert record.__dict__["code"] == ErrorCode.RecordCorrupt
