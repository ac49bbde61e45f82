"""What is done in a container for changed files, in which order, and what of it is recorded."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from reconciler.control.execute import run_action
from reconciler.control.notes import decode_memory, encode_memory, encode_spec
from reconciler.control.observe import observe_container
from reconciler.control.reactions import end
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.action import Destroy, React, StopAction
from reconciler.model.spec import Reaction, ReactionKind, Reference, Spec, Stop
from reconciler.model.world import RestartMemory
from tests.fakes.engine import FakeEngine
from tests.unit.planning.world_model import make_spec

TERM = int(signal.SIGTERM)
# Not HUP: of the fake's init, which is no process, it cannot be told whether it handles it.
KILL = Reaction(kind=ReactionKind.SIGNAL, signal="KILL")
HUP = Reaction(kind=ReactionKind.SIGNAL, signal="HUP")
RELOAD = Reaction(kind=ReactionKind.EXEC, command=("/bin/reload", "a b"))
PRE_STOP = Stop(pre_stop=("/bin/drain",), grace_ns=5 * 10**9)


def spec_with(content: str, **fields: Any) -> Spec:
    return make_spec(references=(Reference(path="/c", reaction=KILL, digest=content),), **fields)


def given(engine: FakeEngine, spec: Spec) -> None:
    notes = encode_spec(spec) | encode_memory(RestartMemory())
    engine.create(spec.name, spec.config, notes).start()
    engine.calls.clear()


def react(engine: FakeEngine, spec: Spec, *reactions: Reaction) -> ReconcilerError | None:
    action = React(name="web", spec=spec, reason="test", reactions=reactions)
    return run_action(engine, action).error


def recorded(engine: FakeEngine) -> Spec:
    observed = observe_container(engine.load("web"))
    assert observed is not None
    assert observed.spec is not None
    return observed.spec


def done(engine: FakeEngine) -> list[str]:
    return [verb for verb in engine.verbs("web") if verb.startswith(("signal", "execute", "stop"))]


def test_each_reaction_is_done_and_then_recorded(engine: FakeEngine) -> None:
    given(engine, spec_with("1"))
    after = spec_with("2", env={"A": "new"}, digest="d2")
    assert react(engine, after, KILL, RELOAD) is None
    assert done(engine) == ["signal 9", "execute /bin/reload a b"]
    assert recorded(engine) == after


def test_one_that_fails_is_not_recorded_so_that_it_is_done_again(engine: FakeEngine) -> None:
    given(engine, spec_with("1"))
    engine.exit_codes["web"] = 3
    error = react(engine, spec_with("2", digest="d2"), RELOAD)
    assert error is not None
    assert error.code is ErrorCode.ReactionFailed
    assert str(error) == ("cannot react to a changed file in web: /bin/reload 'a b': exit code 3")
    assert recorded(engine) == spec_with("1")


def test_a_signal_that_the_kernel_would_drop_is_not_sent(engine: FakeEngine) -> None:
    given(engine, spec_with("1"))
    error = react(engine, spec_with("2"), HUP)
    assert error is not None
    assert "does not handle SIGHUP" in str(error)
    assert done(engine) == []


@pytest.mark.parametrize("exit_code", [0, 1])
def test_the_command_before_a_stop_never_keeps_it_from_happening(
    exit_code: int, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    given(engine, make_spec(stop=PRE_STOP))
    engine.exit_codes["web"] = exit_code
    end(engine.load("web"), PRE_STOP)
    ran, stopped = done(engine)
    assert ran == "execute /bin/drain"
    _, number, grace_ns = stopped.split()
    assert int(number) == TERM
    assert 0 < int(grace_ns) < PRE_STOP.grace_ns
    codes = [getattr(record, "code", None) for record in caplog.records]
    assert codes == ([ErrorCode.PreStopFailed] if exit_code else [])


def test_a_command_that_cannot_be_run_is_logged_and_the_stop_goes_on(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    given(engine, make_spec(stop=PRE_STOP))
    failure = ReconcilerError(ErrorCode.CommandNotFound, "no such file")
    engine.failing["execute /bin/drain", "web"] = failure
    end(engine.load("web"), PRE_STOP)
    assert done(engine)[-1].startswith(f"stop {TERM}")
    assert "cannot run /bin/drain before the stop of web: no such file" in caplog.text


def test_it_is_noted_before_the_command_who_stops_the_container(engine: FakeEngine) -> None:
    given(engine, make_spec(stop=PRE_STOP))
    spec = make_spec(stop=PRE_STOP)
    run_action(engine, StopAction(name="web", spec=spec, reason="test"))
    verbs = engine.verbs("web")
    assert verbs.index("annotate") < verbs.index("execute /bin/drain")
    assert decode_memory(engine.load("web").record).is_stopped


def test_a_full_disk_is_not_in_the_way_of_a_destruction_with_a_command(engine: FakeEngine) -> None:
    spec = make_spec(stop=PRE_STOP)
    given(engine, spec)
    engine.failing["annotate", "web"] = ReconcilerError(ErrorCode.NoSpace, "no space")
    assert run_action(engine, Destroy(name="web", spec=spec, reason="test")).error is None
    assert done(engine)[0] == "execute /bin/drain"
    assert engine.cells == {}


def test_without_a_grace_there_is_no_time_for_a_command(engine: FakeEngine) -> None:
    stop = Stop(pre_stop=("/bin/drain",), grace_ns=0)
    given(engine, make_spec(stop=stop))
    end(engine.load("web"), stop)
    assert done(engine) == [f"stop {TERM} 0"]
