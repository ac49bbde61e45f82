"""Carries out a plan: one function for each action. The only place that changes containers.

Called by the pass, under the reconciler's lock. Actions of one turn run side by side, turns one
after another; what is not connected by dependencies stops side by side, whatever its turn. A
failure of one action stops none but the starts that were to come after it. An action that is
interrupted at any point leaves what the next pass can see and finish.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import assert_never

from reconciler.control.journal import append_event, event_of
from reconciler.control.logs import get_logger, log_failure, log_info
from reconciler.control.mend import mend, set_limits
from reconciler.control.notes import (
    FROZEN,
    PAUSED,
    decode_generation,
    encode_frozen,
    encode_generation,
    encode_memory,
    encode_runs,
    encode_spec,
    encode_stopped,
)
from reconciler.control.outcome import Outcome
from reconciler.control.ports import ContainerPort, EnginePort
from reconciler.control.progress import Progress
from reconciler.control.reactions import end, react
from reconciler.control.runs import note_runs, runs_of
from reconciler.control.threads import run_tasks
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.linux.clock import wall_s
from reconciler.model.action import (
    Action,
    Create,
    Destroy,
    Freeze,
    Pause,
    Plan,
    React,
    Recreate,
    Restart,
    Resume,
    Start,
    StopAction,
    Update,
)
from reconciler.model.frozen import replace
from reconciler.model.spec import DesiredState, Spec, Stop
from reconciler.model.world import RestartMemory

# More make starts no faster.
THREADS = 16
# Graceful stops wait side by side, and a thread that waits costs little.
STOP_THREADS = 256
STOPPING = (StopAction, Destroy, Recreate, Restart)

_GONE = (ErrorCode.ContainerNotExists, ErrorCode.ContainerDestroyed)


def execute_plan(
    engine: EnginePort,
    plan: Plan,
    *,
    groups: Mapping[str, str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Progress = Progress(),  # noqa: B008  (it has no state)
) -> tuple[Outcome, ...]:
    """Carry out the actions of a plan and return what became of each, in the plan's order.

    `groups`: for each name one that stands for all that it is connected with by dependencies.
    Each group goes through its turns by itself, so that graces overlap, but for what is only
    started, and what comes after that: all that ends frees what it may need.

    Once `should_stop` is true no further action is begun; those have no outcome, nor have those
    that were to come after one that failed.
    """
    outcomes: dict[str, Outcome] = {}

    def has_succeeded(name: str) -> bool:
        return name in outcomes and outcomes[name].error is None

    def run(action: Action) -> None:
        if not should_stop() and all(map(has_succeeded, action.after)):
            progress.begin(action)
            outcomes[action.name] = run_action(engine, action)
        progress.end(action)

    def run_turns(actions: Iterable[Action], threads: int = THREADS) -> None:
        for _, together in groupby(actions, key=lambda action: action.turn()):
            run_tasks([partial(run, action) for action in together], threads)

    progress.expect(len(plan.actions))
    apart, left = _part(plan.actions, groups or {})
    run_tasks([partial(run_turns, group, STOP_THREADS) for group in apart], STOP_THREADS)
    run_turns(left)
    return tuple(outcomes[one.name] for one in plan.actions if one.name in outcomes)


def _part(
    actions: Sequence[Action], groups: Mapping[str, str]
) -> tuple[list[list[Action]], list[Action]]:
    """Return (the actions of each group up to its first start, the actions that are left).

    Groups in which nothing stops are one: what they do takes no time.
    """
    stopping = {groups.get(one.name) for one in actions if isinstance(one, STOPPING)}
    apart: dict[str | None, list[Action]] = {}
    started: dict[str | None, tuple[int, int]] = {}  # the turn of the first start
    left: list[Action] = []
    for action in actions:
        group = groups.get(action.name)
        group = group if group in stopping else None
        if isinstance(action, Create | Start):
            started.setdefault(group, action.turn())
        if group in started and action.turn() >= started[group]:
            left.append(action)
        else:
            apart.setdefault(group, []).append(action)
    return list(apart.values()), left


def run_action(engine: EnginePort, action: Action) -> Outcome:
    """Carry out one action, log and journal it; whatever goes wrong is in the outcome."""
    begun = time.perf_counter_ns()
    error: ReconcilerError | None = None
    try:
        _carry_out(engine, action)
    except ReconcilerError as failure:
        error = failure
    except OSError as failure:  # the kernel's word, wherever it was not translated before
        error = from_os_error(
            failure,
            f"cannot {action.verb} {action.name}",
            container=action.name,
            operation=action.verb,
        )
        error.__cause__ = failure
    except Exception as bug:  # noqa: BLE001  (one container's bug must not stop the others)
        error = _internal(action, bug)
    outcome = Outcome(action=action, error=error, duration_ns=time.perf_counter_ns() - begun)
    _log_outcome(outcome)
    event = event_of(outcome, wall_s(), _generation(engine, action.name))
    append_event(engine.state_dir, event)
    return outcome


def _generation(engine: EnginePort, name: str) -> int | None:
    """Return which of its specs a container has now, None when it is gone."""
    try:
        return decode_generation(engine.load(name).record.annotations) or None
    except ReconcilerError:  # as far as it matters, the outcome says so
        return None


def _carry_out(engine: EnginePort, action: Action) -> None:
    match action:
        case Create():
            _create(engine, action.spec)
        case Recreate():
            _recreate(engine, action.spec)
        case Start():
            _start(engine, engine.load(action.name), action)
        case Restart():
            _check(engine, action.spec)  # while the old one still runs
            container = engine.load(action.name)
            _stop(container, action.spec.stop)
            _start(engine, container, action)
        case Update() | React():
            container = engine.load(action.name)
            note_runs(engine, container, action.spec, is_start=False)
            _update(container, action)
        case Pause():
            container = engine.load(action.name)
            container.pause()
            note_runs(engine, container, action.spec, is_start=False)
            _note(container, action.spec)
        case Resume():
            container = engine.load(action.name)
            container.resume()
            note_runs(engine, container, action.spec, is_start=False)
            _note(container, action.spec)
        case StopAction():
            container = engine.load(action.name)
            _stop(container, action.spec.stop, action.memory)
            _adopt(container, action.spec)
        case Freeze() | Destroy():
            _prune(engine, action)
        case _:
            assert_never(action)


def _create(engine: EnginePort, spec: Spec, before: Mapping[str, str] | None = None) -> None:
    """Make and start a container, or leave nothing of it; `before`: notes of the one replaced."""
    _check_state(engine, spec)
    before = before or {}
    notes = encode_spec(spec) | encode_memory(RestartMemory()) | encode_generation(spec, before)
    notes |= {key: note for key, note in before.items() if key == PAUSED}
    notes |= {key: note for key, note in encode_runs(runs_of(engine, spec)).items() if note}
    container = engine.create(spec.name, spec.config, notes)
    try:
        _run(container, spec)
    except BaseException as error:
        try:
            container.destroy()
        except ReconcilerError as second:
            error.add_note(f"and what was made of it cannot be removed: {second}")
        raise


def _recreate(engine: EnginePort, spec: Spec) -> None:
    """Replace a container, keeping its logs; its writable layer belongs to the old one."""
    _check(engine, spec)  # while the old one still runs
    try:
        container = engine.load(spec.name)
        _stop(container, spec.stop)
    except ReconcilerError as error:
        if error.code is not ErrorCode.RecordCorrupt:
            raise
        container = engine.handle(spec.name)
    before = container.record.annotations
    container.destroy(keep_logs=True)
    _create(engine, spec, before)


def _start(engine: EnginePort, container: ContainerPort, action: Start | Restart) -> None:
    _check_state(engine, action.spec)
    memory = replace(action.memory, is_stopped=False, is_overdue=False, failed_probe=None)
    note_runs(engine, container, action.spec, is_start=True)
    _adopt(container, action.spec, memory)
    _run(container, action.spec)


def _check(engine: EnginePort, spec: Spec) -> None:
    engine.check(spec.name, spec.config)
    _check_state(engine, spec)


def _check_state(engine: EnginePort, spec: Spec) -> None:
    """Refuse to start what could then not be paused."""
    if spec.state is DesiredState.PAUSED:
        engine.ensure_pausable(spec.name)


def _run(container: ContainerPort, spec: Spec) -> None:
    if spec.state is DesiredState.STOPPED:
        return
    container.start()
    if spec.state is DesiredState.PAUSED or PAUSED in container.record.annotations:
        container.pause()


def _stop(container: ContainerPort, stop: Stop, memory: RestartMemory | None = None) -> None:
    """End what runs, having noted first that it is the reconciler who ends it."""
    if not container.status().has_processes():
        return
    container.annotate(
        {**(encode_stopped(container.record) if memory is None else encode_memory(memory))}
    )
    end(container, stop)


def _update(container: ContainerPort, action: Update | React) -> None:
    """Apply limits to what runs, if they differ, or rewrite the record of what does not.

    The record comes last and at once, so that what was cut off or fails is done again and an
    edit counts once.
    """
    if not container.status().has_processes():
        _adopt(container, action.spec)
        return
    mend(container, action)
    if isinstance(action, React):
        react(container, action.reactions)
    config, notes = action.spec.config, _notes(container, action.spec)
    paths = (change.field for change in action.changes)
    limits = frozenset(path for path in paths if path.startswith("resources."))
    has_other_env = container.record.config.env != config.env  # which is for the next start
    if has_other_env:
        next_config = replace(container.record.config, env=config.env)
        container.reconfigure(next_config, None if limits else notes)
    if limits:
        set_limits(container, config.resources, limits, notes)
    elif notes and not has_other_env:
        container.annotate(notes)


def _prune(engine: EnginePort, action: Freeze | Destroy) -> None:
    if isinstance(action, Freeze):
        _freeze(engine.load(action.name), action.at)
    else:
        _destroy(engine, action)


def _freeze(container: ContainerPort, at: float) -> None:
    """Note first since when: what is frozen without that would be taken for interference."""
    if FROZEN not in container.record.annotations:
        container.annotate(encode_frozen(at))
    if container.status().has_processes():
        container.pause()


def _destroy(engine: EnginePort, action: Destroy) -> None:
    try:
        container = engine.load(action.name)
        _note_end(container)
        end(container, action.spec.stop)
        container.destroy()
    except ReconcilerError as error:
        if error.code not in _GONE:
            raise


def _note_end(container: ContainerPort) -> None:
    """Note that it is the reconciler who ends what runs, for the case that it is cut off there.

    Should the file come back, that was no end of the container's own. Where nothing can be
    written, it is destroyed all the same: that frees space.
    """
    if container.status().has_processes():
        try:
            container.annotate({**encode_stopped(container.record)})
        except ReconcilerError as error:
            if error.code in _GONE:
                raise
            get_logger("control").debug("%s is destroyed without a note: %s", container.id, error)


def _adopt(container: ContainerPort, spec: Spec, memory: RestartMemory | None = None) -> None:
    """Give a container that does not run the spec's Config, noting that it has it."""
    notes = _notes(container, spec, memory)
    if container.record.config != spec.config:
        container.reconfigure(spec.config, notes)
    elif notes:
        container.annotate(notes)


def _note(container: ContainerPort, spec: Spec) -> None:
    if notes := _notes(container, spec):
        container.annotate(notes)


def _notes(
    container: ContainerPort, spec: Spec, memory: RestartMemory | None = None
) -> dict[str, str | None]:
    """Return the annotations that say which spec it is equal to; none if they are there."""
    before = container.record.annotations
    notes = encode_spec(spec) | (encode_memory(memory) if memory is not None else {})
    notes |= encode_generation(spec, before)
    if FROZEN in before or not notes.items() <= before.items():
        return {**notes, **encode_frozen(None)}
    return {}


def _internal(action: Action, bug: Exception) -> ReconcilerError:
    error = ReconcilerError(
        ErrorCode.Internal,
        f"internal error: cannot {action.verb} {action.name}: {type(bug).__name__}: {bug}",
        container=action.name,
        operation=action.verb,
    )
    error.__cause__ = bug
    return error


def _log_outcome(outcome: Outcome) -> None:
    """Log one record for an action: which fields, but not their values, which may be secret."""
    action = outcome.action
    about = {
        "action": action.verb,
        "reason": action.reason,
        "fields": [change.field for change in action.changes],
        "durationMs": outcome.duration_ns // 10**6,
    }
    if outcome.error is None:
        log_info(f"{action.verb} {action.name}", container=action.name, **about)
    else:
        log_failure(outcome.error, **about)
