"""Checks what the schedule says is due; writes down and tells what was found.

Used by the scheduler of the daemon, in several threads, and by a one-shot pass. A container that
another process probes is left to it, and asked for again a little later.
"""

from __future__ import annotations

import time
from _thread import allocate_lock
from collections.abc import Iterable

from reconciler.control.journal import append_event, make_event
from reconciler.control.logs import log_failure, log_info
from reconciler.control.ports import EnginePort
from reconciler.control.probes.checks import NotCheckedError, run_check
from reconciler.control.probes.claims import Claims
from reconciler.control.probes.health_file import read_health, write_health
from reconciler.control.probes.schedule import Change, Entry, Schedule
from reconciler.control.probes.targets import Target
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.linux.clock import wall_s
from reconciler.planning.health import describe_failure

_CLAIM_RETRY_S = 1.0


class Desk:
    """The probes of some containers of an engine. Safe to use from any thread.

    `is_spread`: what an earlier process has checked is not due all at once.
    """

    def __init__(self, engine: EnginePort, *, is_spread: bool) -> None:
        self._engine = engine
        self._schedule = Schedule(is_spread=is_spread)
        self._claims = Claims(engine.run_dir)
        self._lock = allocate_lock()
        self._writing = allocate_lock()
        self._is_closed = False
        self._unsaved: set[str] = set()  # what could not be written is tried again

    def look_after(self, targets: Iterable[Target]) -> None:
        """Probe these runs and no others from now on."""
        wanted = {target.name: target for target in targets}
        with self._lock:
            for name in self._schedule.targets().keys() - wanted.keys():
                self._release(name)
            self._schedule.keep(wanted)
            known = self._schedule.targets()
            for name, target in wanted.items():
                if known.get(name) != target:
                    self._put(target)

    def next_due(self) -> float | None:
        """Return when the next check is due (monotonic seconds), None when there is none."""
        with self._lock:
            return self._schedule.next_due()

    def take_due(self) -> list[Entry]:
        """Return what is due now, each to be given to `work`."""
        with self._lock:
            return self._schedule.take_due(time.monotonic())

    def work(self, entry: Entry) -> bool:
        """Check one probe that is due; tell whether there is another verdict to be read."""
        if not self._is_ours(entry):
            return False
        at = wall_s()
        try:
            failure = run_check(self._engine, entry.target, entry.probe)
        except NotCheckedError:
            self._postpone(entry, entry.interval_s)
            return False
        except Exception as bug:  # noqa: BLE001  (one probe's bug must not stop the others)
            log_failure(_internal(entry, bug))
            self._postpone(entry, entry.interval_s)
            return False
        with self._lock:
            change = self._schedule.settle(entry, failure, time.monotonic(), at)
        return change is not None and self._note(change, at)

    def save(self) -> None:
        """Write down all that is known, with the times of the last checks."""
        with self._lock:
            ours = [name for name in self._schedule.targets() if self._claims.has(name)]
        for name in ours:
            self._write(name)

    def close(self) -> None:
        """Let go of all containers; what is still being checked is not noted any more."""
        with self._writing, self._lock:
            self._is_closed = True
            self._schedule.keep(())
            self._claims.close()

    # --- parts

    def _put(self, target: Target) -> None:
        """Look after a run; what an earlier process has found counts once we have the claim."""
        before = self._schedule.targets().get(target.name)
        is_same_run = before is not None and before[:3] == target[:3]
        health = None
        if self._take(target.name) and not is_same_run:
            health = read_health(self._engine.run_dir, target.name)
        self._schedule.put(target, health, time.monotonic(), wall_s())

    def _take(self, name: str) -> bool:
        try:
            return self._claims.take(name)
        except OSError as error:
            log_failure(from_os_error(error, "cannot lock the probes of a container"))
            return False

    def _release(self, name: str) -> None:
        if self._claims.has(name):
            try:
                self._claims.release(name)
            except OSError as error:
                log_failure(from_os_error(error, "cannot unlock the probes of a container"))

    def _is_ours(self, entry: Entry) -> bool:
        """Tell whether it may be checked; a new claim begins with what its last holder found."""
        with self._lock:
            if self._is_closed:
                return False
            if self._claims.has(entry.target.name):
                return True
            if self._take(entry.target.name):
                self._schedule.postpone(entry, time.monotonic())
                self._schedule.keep(self._schedule.targets().keys() - {entry.target.name})
                self._put(entry.target)
            else:
                self._schedule.postpone(entry, time.monotonic() + _CLAIM_RETRY_S)
            return False

    def _postpone(self, entry: Entry, seconds: float) -> None:
        with self._lock:
            self._schedule.postpone(entry, time.monotonic() + seconds)

    def _note(self, change: Change, at: float) -> bool:
        """Write and tell what a check has changed; tell whether a verdict is newly on disk."""
        name = change.entry.target.name
        is_unsaved = name in self._unsaved
        if not change.is_news and not is_unsaved:
            return False
        is_saved = self._write(name)
        if change.is_transition:
            self._tell(change, at)
        return is_saved and (change.is_transition or is_unsaved)

    def _write(self, name: str) -> bool:
        with self._writing:  # the last one to write has the newest
            with self._lock:
                health = self._schedule.health(name)
            is_saved = health is None or write_health(self._engine.run_dir, name, health)
            (self._unsaved.discard if is_saved else self._unsaved.add)(name)
            return is_saved

    def _tell(self, change: Change, at: float) -> None:
        """Log and journal that a probe passes, or fails, from now on."""
        name, kind, result = change.entry.target.name, change.entry.kind, change.after
        if result.passes:
            message, cause = f"{name}: its {kind} probe passes", _times(result.successes)
            log_info(message, container=name, probe=kind.value)
            append_event(
                self._engine.state_dir, make_event(at, "probe", name, cause=cause, message=message)
            )
            return
        message = f"{name}: {describe_failure(kind, result)}"
        log_failure(
            ReconcilerError(ErrorCode.ProbeFailed, message, container=name, operation="probe"),
            probe=kind.value,
        )
        event = make_event(
            at,
            ErrorCode.ProbeFailed.name,
            name,
            code=int(ErrorCode.ProbeFailed),
            cause=result.message,
            message=message,
        )
        append_event(self._engine.state_dir, event)


def _times(successes: int) -> str:
    return "a check passed" if successes == 1 else f"{successes} checks in a row passed"


def _internal(entry: Entry, bug: Exception) -> ReconcilerError:
    name = entry.target.name
    message = f"internal error: cannot probe {name}: {type(bug).__name__}: {bug}"
    error = ReconcilerError(ErrorCode.Internal, message, container=name, operation="probe")
    error.__cause__ = bug
    return error
