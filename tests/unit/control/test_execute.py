"""Each action does what it says, in order, and a failure stops nothing but itself."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from reconciler.control.journal import JournalReader
from reconciler.control.notes import RESTARTS, decode_memory
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model import action as act
from reconciler.model.config import Rootfs
from reconciler.model.spec import DesiredState, Kind, Stop
from reconciler.model.state import Status
from reconciler.model.world import RestartMemory
from tests.fakes.engine import FakeEngine
from tests.unit.control.executed import BROKEN, INT, TERM, changed, given, run, seen
from tests.unit.planning.world_model import make_resources, make_spec


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (DesiredState.RUNNING, Status.RUNNING),
        (DesiredState.PAUSED, Status.PAUSED),
        (DesiredState.STOPPED, Status.CREATED),
    ],
)
@pytest.mark.parametrize("kind", [act.Create, act.Recreate])
def test_what_is_made_is_brought_to_its_state(
    engine: FakeEngine, kind: type[Any], state: DesiredState, status: Status
) -> None:
    if kind is act.Recreate:
        given(engine, make_spec(command=("/bin/old",)))
    spec = make_spec(state=state)
    assert run(engine, kind, spec).error is None
    assert seen(engine).status is status
    assert seen(engine).spec == spec
    assert seen(engine).memory == RestartMemory()


def test_a_create_that_cannot_start_leaves_nothing(engine: FakeEngine) -> None:
    engine.failing["start", "web"] = BROKEN
    assert run(engine, act.Create, make_spec()).error is BROKEN
    assert engine.cells == {}


def test_a_clean_up_that_fails_does_not_hide_the_first_failure(engine: FakeEngine) -> None:
    engine.failing["start", "web"] = BROKEN
    engine.failing["destroy", "web"] = ReconcilerError(ErrorCode.SystemError, "busy")
    error = run(engine, act.Create, make_spec()).error
    assert error is BROKEN
    assert error.__notes__ == ["and what was made of it cannot be removed: busy"]


def test_a_recreate_stops_gracefully_and_keeps_the_logs(engine: FakeEngine) -> None:
    given(engine, make_spec())
    spec = make_spec(rootfs=Rootfs(path="/srv"), stop=Stop(signal="INT", grace_ns=5))
    assert run(engine, act.Recreate, spec).error is None
    verbs = engine.verbs("web")
    assert verbs.index(f"stop {INT} 5") < verbs.index("destroy keep_logs") < verbs.index("create")


def test_a_recreate_replaces_a_container_whose_record_is_broken(engine: FakeEngine) -> None:
    engine.corrupt.add("web")
    assert run(engine, act.Recreate, make_spec()).error is None
    assert seen(engine).status is Status.RUNNING


def test_a_start_takes_the_new_config_and_remembers_the_restart(engine: FakeEngine) -> None:
    given(engine, make_spec())
    engine.end("web", 1)
    spec, memory = make_spec(command=("/bin/b",)), RestartMemory(count=5, failures=2)
    assert run(engine, act.Start, spec, memory=memory).error is None
    assert (seen(engine).status, seen(engine).spec, seen(engine).memory) == (
        Status.RUNNING,
        spec,
        memory,
    )


def test_a_start_that_fails_keeps_the_container(engine: FakeEngine) -> None:
    given(engine, make_spec(), started=False)
    engine.failing["start", "web"] = BROKEN
    assert run(engine, act.Start, make_spec()).error is BROKEN
    assert seen(engine).status is Status.CREATED


def test_a_restart_stops_first_and_has_noted_before_that_it_is_ours(engine: FakeEngine) -> None:
    """Were it cut off after the stop, the next pass must not take it for a crash."""
    given(engine, make_spec())
    engine.failing[f"stop {TERM} {10**10}", "web"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run(engine, act.Restart, make_spec(command=("/bin/b",)))
    assert decode_memory(engine.cells["web"].record) == RestartMemory(count=1, is_stopped=True)
    engine.failing.clear()
    after = RestartMemory(count=1)
    assert run(engine, act.Restart, make_spec(command=("/bin/b",)), memory=after).error is None
    assert seen(engine).memory == after
    assert seen(engine).config.command == ("/bin/b",)


def test_an_update_of_what_runs_sets_the_limits(engine: FakeEngine) -> None:
    given(engine, make_spec())
    spec = make_spec(resources=make_resources(pids=7), labels={"a": "b"})
    assert run(engine, act.Update, spec, changes=changed("resources.pids.max")).error is None
    assert seen(engine).limits["resources.pids.max"] == 7
    assert seen(engine).spec == spec


def test_an_update_of_labels_writes_no_limits(engine: FakeEngine) -> None:
    given(engine, make_spec())
    spec = make_spec(labels={"a": "b"})
    assert run(engine, act.Update, spec, changes=changed("labels.a")).error is None
    assert engine.verbs("web") == ["status", "annotate"]
    assert seen(engine).spec == spec


def test_an_update_of_what_does_not_run_replaces_its_config(engine: FakeEngine) -> None:
    given(engine, make_spec(), started=False)
    spec = make_spec(command=("/bin/b",), state=DesiredState.STOPPED)
    assert run(engine, act.Update, spec, changes=changed("command")).error is None
    assert seen(engine).spec == spec
    assert seen(engine).status is Status.CREATED


def test_pause_and_resume_change_the_state_and_the_note(engine: FakeEngine) -> None:
    given(engine, make_spec())
    paused = make_spec(state=DesiredState.PAUSED)
    assert run(engine, act.Pause, paused).error is None
    assert (seen(engine).status, seen(engine).spec) == (Status.PAUSED, paused)
    assert run(engine, act.Resume, make_spec()).error is None
    assert (seen(engine).status, seen(engine).spec) == (Status.RUNNING, make_spec())


def test_a_start_that_fails_after_our_stop_is_no_end_of_the_containers_own(
    engine: FakeEngine,
) -> None:
    given(engine, make_spec())
    engine.failing["start", "web"] = BROKEN
    spec = make_spec(command=("/bin/b",))
    assert run(engine, act.Restart, spec).error is BROKEN
    assert seen(engine).memory.is_stopped
    assert run(engine, act.Start, spec).error is BROKEN
    assert seen(engine).memory.is_stopped
    engine.failing.clear()
    assert run(engine, act.Start, spec).error is None
    engine.end("web", 1)
    assert not seen(engine).memory.is_stopped


def test_a_stop_leaves_it_stopped_with_the_new_spec(engine: FakeEngine) -> None:
    given(engine, make_spec())
    spec = make_spec(state=DesiredState.STOPPED, command=("/bin/b",))
    assert run(engine, act.StopAction, spec).error is None
    assert (seen(engine).status, seen(engine).spec) == (Status.STOPPED, spec)
    assert seen(engine).memory == RestartMemory(count=1, is_stopped=True)


def test_a_destroy_stops_gracefully_by_the_last_spec(engine: FakeEngine) -> None:
    spec = make_spec(stop=Stop(signal="INT", grace_ns=7))
    given(engine, spec)
    assert run(engine, act.Destroy, spec).error is None
    assert engine.verbs("web")[-2:] == [f"stop {INT} 7", "destroy"]
    assert engine.cells == {}


def test_a_destroy_of_what_is_gone_is_done(engine: FakeEngine) -> None:
    assert run(engine, act.Destroy, make_spec()).error is None


def test_a_bug_is_an_internal_error_of_that_action(engine: FakeEngine) -> None:
    engine.failing["create", "web"] = ZeroDivisionError("division by zero")
    error = run(engine, act.Create, make_spec()).error
    assert error is not None
    assert error.code is ErrorCode.Internal
    assert str(error) == "internal error: cannot create web: ZeroDivisionError: division by zero"
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_each_action_is_one_log_record_without_values(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "reconciler")
    secret = act.FieldChange(
        field="env.TOKEN", desired="s3cret", observed=None, change_class=act.ChangeClass.RESTART
    )
    given(engine, make_spec())
    run(engine, act.Restart, make_spec(), changes=(secret,))
    engine.failing["pause", "web"] = BROKEN
    run(engine, act.Pause, make_spec())
    done, failed = (record.__dict__ for record in caplog.records)
    assert (done["message"], done["fields"]) == ("restart web", ["env.TOKEN"])
    assert (failed["message"], failed["code"]) == (str(BROKEN), 30)
    assert "s3cret" not in caplog.text
    assert RESTARTS not in caplog.text


def test_a_stop_at_the_deadline_is_noted_as_such_before_the_signal(engine: FakeEngine) -> None:
    given(engine, make_spec())
    overdue = RestartMemory(count=1, failures=2, is_overdue=True)
    assert run(engine, act.StopAction, make_spec(), memory=overdue).error is None
    assert (seen(engine).status, seen(engine).memory) == (Status.STOPPED, overdue)
    assert engine.verbs("web").index("annotate") < engine.verbs("web").index(
        f"stop {TERM} {10**10}"
    )


@pytest.mark.parametrize("cut_before", ["set", "reconfigure", "annotate"])
@pytest.mark.parametrize("is_running", [True, False])
def test_an_edit_counts_once_wherever_it_was_cut_off(
    engine: FakeEngine, cut_before: str, *, is_running: bool
) -> None:
    old, new = (
        make_spec(resources=make_resources(pids=n), env={"N": str(n)}, digest=str(n))
        for n in (1, 2)
    )
    given(engine, old, started=is_running)
    run(engine, act.Update, old)
    before = seen(engine).generation
    engine.failing[cut_before, "web"] = BROKEN
    run(engine, act.Update, new, changes=changed("resources.pids.max", "env.N"))
    engine.failing.clear()
    cut_off = seen(engine)
    assert (cut_off.config == new.config) is (cut_off.generation == before + 1)
    run(engine, act.Update, new, changes=changed("resources.pids.max", "env.N"))
    assert seen(engine).generation == before + 1


def test_each_new_spec_is_a_new_generation_through_update_restart_and_recreate(
    engine: FakeEngine,
) -> None:
    first = make_spec()
    run(engine, act.Create, first)
    assert seen(engine).generation == 1
    run(engine, act.Restart, first)
    assert seen(engine).generation == 1
    run(engine, act.Update, make_spec(digest="d2", labels={"a": "b"}))
    assert seen(engine).generation == 2
    run(engine, act.Restart, make_spec(digest="d3", command=("/bin/b",)))
    assert seen(engine).generation == 3
    run(engine, act.Recreate, make_spec(digest="d4", kind=Kind.JOB))
    assert seen(engine).generation == 4
    with closing(JournalReader(engine.state_dir)) as reader:
        assert [event["generation"] for event in reader.read()] == [1, 1, 2, 3, 4]


def test_a_destroy_that_is_cut_off_is_no_end_of_the_containers_own(engine: FakeEngine) -> None:
    spec = make_spec()
    given(engine, spec)
    engine.failing["destroy", "web"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run(engine, act.Destroy, spec)
    assert seen(engine).status is Status.STOPPED
    assert seen(engine).memory.is_stopped


def test_what_cannot_be_noted_for_want_of_room_is_destroyed_all_the_same(
    engine: FakeEngine,
) -> None:
    spec = make_spec()
    given(engine, spec)
    engine.failing["annotate", "web"] = ReconcilerError(ErrorCode.NoSpace, "no space")
    assert run(engine, act.Destroy, spec).error is None
    assert "web" not in engine.cells
