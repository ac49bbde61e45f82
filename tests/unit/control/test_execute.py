"""Each action does what it says, in order, and a failure stops nothing but itself."""

from __future__ import annotations

import signal
import threading
from contextlib import closing
from typing import Any

import pytest

from reconciler.control.execute import execute_plan, run_action
from reconciler.control.journal import JournalReader
from reconciler.control.notes import RESTARTS, decode_memory, encode_memory, encode_spec
from reconciler.control.observe import observe_container
from reconciler.control.outcome import Outcome
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model import action as act
from reconciler.model.config import Rootfs
from reconciler.model.spec import DesiredState, Kind, Spec, Stop
from reconciler.model.state import Status
from reconciler.model.world import Observed, RestartMemory
from tests.fakes.engine import FakeContainer, FakeEngine
from tests.unit.planning.world_model import make_resources, make_spec

TERM, INT = int(signal.SIGTERM), int(signal.SIGINT)
BROKEN = ReconcilerError(ErrorCode.CommandNotFound, "cannot start web: no such command")


def given(engine: FakeEngine, spec: Spec, *, started: bool = True) -> None:
    container = engine.create(
        spec.name, spec.config, encode_spec(spec) | encode_memory(RestartMemory(count=1))
    )
    if started:
        container.start()
    engine.calls.clear()


def run(engine: FakeEngine, kind: type[Any], spec: Spec, **fields: Any) -> Outcome:
    return run_action(engine, kind(name=spec.name, spec=spec, reason="test", **fields))


def seen(engine: FakeEngine, name: str = "web") -> Observed:
    observed = observe_container(engine.load(name))
    assert observed is not None
    return observed


def changed(*fields: str) -> tuple[act.FieldChange, ...]:
    live = act.ChangeClass.LIVE
    return tuple(
        act.FieldChange(field=one, desired=1, observed=2, change_class=live) for one in fields
    )


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


def plan_of(*actions: act.Action) -> act.Plan:
    return act.Plan(actions=actions)


def test_a_failure_of_one_does_not_stop_the_others(engine: FakeEngine) -> None:
    specs = [make_spec(f"c{number}") for number in range(20)]
    engine.failing["start", "c3"] = BROKEN
    plan = plan_of(*(act.Create(name=one.name, spec=one, reason="") for one in specs))
    outcomes = execute_plan(engine, plan)
    assert [one.action.name for one in outcomes] == [one.name for one in specs]
    assert [one.action.name for one in outcomes if one.error is not None] == ["c3"]
    assert len(engine.cells) == 19


def test_a_stage_begins_when_the_one_before_is_done(engine: FakeEngine) -> None:
    gone = [make_spec(f"old{number}") for number in range(10)]
    for spec in gone:
        given(engine, spec)
    new = [make_spec(f"new{number}") for number in range(10)]
    plan = plan_of(
        *(act.Destroy(name=one.name, spec=one, reason="") for one in gone),
        *(act.Create(name=one.name, spec=one, reason="") for one in new),
    )
    execute_plan(engine, plan)
    verbs = [verb for verb, _ in engine.calls]
    last_destroy = len(verbs) - 1 - verbs[::-1].index("destroy")
    assert last_destroy < verbs.index("create")


def test_independent_actions_overlap(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two starts that each wait for the other end only if both are under way at once."""
    both = threading.Barrier(2, timeout=20)
    original = engine.create

    def create(*args: Any) -> Any:
        both.wait()
        return original(*args)

    monkeypatch.setattr(engine, "create", create)
    plan = plan_of(*(act.Create(name=one, spec=make_spec(one), reason="") for one in ("web", "db")))
    assert [one.error for one in execute_plan(engine, plan)] == [None, None]


def test_graces_of_independent_containers_overlap_whatever_their_turn(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stop waits for the others: of a destroy, a stop, a recreation and a restart."""
    all_of_them = threading.Barrier(4, timeout=20)
    specs = {name: make_spec(name) for name in ("gone", "held", "anew", "again")}
    for spec in specs.values():
        given(engine, spec)
    original = FakeContainer.stop

    def stop(self: FakeContainer, signal: int, grace_ns: int) -> object:
        all_of_them.wait()
        return original(self, signal, grace_ns)

    monkeypatch.setattr(FakeContainer, "stop", stop)
    new = make_spec("new")
    plan = plan_of(
        act.Destroy(name="gone", spec=specs["gone"], reason=""),
        act.StopAction(name="held", spec=specs["held"], reason=""),
        act.Create(name="new", spec=new, reason=""),
        act.Recreate(name="anew", spec=specs["anew"], reason=""),
        act.Restart(name="again", spec=specs["again"], reason=""),
    )
    outcomes = execute_plan(engine, plan, groups={name: name for name in (*specs, "new")})
    assert [one.error for one in outcomes] == [None] * 5
    verbs = [verb.split()[0] for verb, _ in engine.calls]
    of_held = [verb for verb, name in engine.calls if name == "held"]
    ended = engine.calls.index((of_held[-1], "held"))
    assert verbs.index("create") > max(verbs.index("destroy"), ended)


def test_what_depends_on_one_another_keeps_its_turns(engine: FakeEngine) -> None:
    for name in ("db", "web", "aside"):
        given(engine, make_spec(name))
    plan = plan_of(
        act.Destroy(name="aside", spec=make_spec("aside"), reason=""),
        act.StopAction(name="web", spec=make_spec("web"), reason=""),
        act.StopAction(name="db", spec=make_spec("db"), reason="", wave=1),
        act.Start(name="lost", spec=make_spec("lost"), reason=""),
        act.Restart(name="cache", spec=make_spec("cache"), reason="", wave=1, after=("lost",)),
    )
    groups = {"db": "db", "web": "db", "aside": "aside", "lost": "lost", "cache": "lost"}
    outcomes = execute_plan(engine, plan, groups=groups)
    stops = [name for verb, name in engine.calls if verb.startswith("stop ")]
    assert stops.index("web") < stops.index("db")
    assert [one.action.name for one in outcomes if one.error is None] == ["aside", "web", "db"]
    assert "cache" not in {one.action.name for one in outcomes}  # it was to come after a failure


def test_once_told_to_stop_no_further_action_is_begun(engine: FakeEngine) -> None:
    plan = plan_of(
        act.Create(name="a", spec=make_spec("a"), reason=""),
        act.Create(name="b", spec=make_spec("b"), reason=""),
    )
    assert execute_plan(engine, plan, should_stop=lambda: True) == ()
    assert engine.calls == []


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
