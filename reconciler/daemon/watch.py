"""`reconciler watch`: runs a pass whenever there may be something to do, until told to end.

Called by the command line. It decides when to look, never what to do: a pass finds out
everything anew, so that an event too many costs a pass and one too few the time until the
periodic pass. An exit, and a backoff that is over, say which containers to look at; all else has
everything looked at. Everything happens in the thread that calls `run`.

    files ---settle---.
    exits ------------|
    commands ---------|
    probes -----------|
    actions ended ----|
    backoff over -----+--> request --> pass --> timers: periodic, backoff, retry
    SIGHUP, periodic -'     ^           |
                            '-----------'  while a pass still changes something
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from reconciler.control.continuous import ContinuousReconciler
from reconciler.control.logs import get_logger, log_failure
from reconciler.control.patience import Patience
from reconciler.control.probes.scheduler import ProbeScheduler
from reconciler.control.wake import WAKE_FILE
from reconciler.daemon.claim import Claim
from reconciler.daemon.files import FileWatcher
from reconciler.daemon.heart import Heart
from reconciler.daemon.modules import load_own_modules
from reconciler.daemon.problems import Problems
from reconciler.daemon.wakeups import SignalPipe, WakeUp
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux.clock import wall_s
from reconciler.linux.notify import Notifier
from reconciler.loader.watched import Interest
from reconciler.model.frozen import frozen
from reconciler.planning.plan import PlanOptions

if TYPE_CHECKING:
    from reconciler.control.report import PassReport
    from reconciler.engine.engine import Engine
    from reconciler.engine.monitor_client import ExitEvents
    from reconciler.loader.watched import Watched
    from reconciler.model.state import ExitStatus

_RETRY_S = 1.0
# For so long the end of the daemon waits for graceful stops; then they are the next one's.
_END_PATIENCE_S = 2.0
# So many actions in a row on one container: two sides are at war over it.
_MAX_ACTIONS_IN_A_ROW = 20


@frozen
class Settings:
    """When to look: all in seconds.

    `interval_s`: a pass at least so often. `settle_s`: files must have been left alone for so
    long, but at most `max_settle_s` are waited for that. `poll_s`: how often files are looked
    at where inotify cannot be had. `lock_timeout_s`: how long another reconciler is waited for.
    """

    interval_s: float = 30.0
    settle_s: float = 0.1
    max_settle_s: float = 2.0
    poll_s: float = 2.0
    lock_timeout_s: float = 1.0


class Watch:
    """The loop; one method for each event, named after it."""

    def __init__(
        self,
        engine: Engine,
        sources: Sequence[str],
        *,
        options: PlanOptions,
        settings: Settings,
        notifier: Notifier = Notifier(),  # noqa: B008  (it has no state)
    ) -> None:
        self._engine = engine
        self._sources = list(sources)
        self._log = get_logger("watch")
        self._settings = settings
        self._signals = SignalPipe()
        self._heart = Heart(notifier)
        self._changed = WakeUp()
        self._told = WakeUp()
        self._probed = WakeUp()
        self._ended = WakeUp()
        self._reconciler = ContinuousReconciler(
            engine,
            sources,
            options=options,
            should_stop=self._signals.is_told_to_end,
            progress=self._heart,
            on_done=self._ended.set,
        )
        self._probes = ProbeScheduler(engine, self._probed.set)
        self._files = FileWatcher(self._wake)
        self._run_dir = os.path.realpath(engine.run_dir)
        self._claim = Claim(engine.run_dir)
        self._watched: Watched = {}  # what is to be watched, as far as it is known
        self._exits: ExitEvents | None = None
        self._timers: dict[Callable[[], None], float] = {}  # what to call when (monotonic)
        self._reasons: set[str] = set()  # why a pass is due
        self._names: set[str] | None = set()  # what it has to look at, None: everything
        self._due: frozenset[str] = frozenset()  # what waits until the backoff's timer
        self._first_change: float | None = None
        self._problems = Problems()
        self._patience = Patience(_MAX_ACTIONS_IN_A_ROW)
        self._is_at_war = False
        self._is_ending = False

    def run(self) -> None:
        """Converge, then keep watch until SIGTERM or SIGINT; the containers run on.

        Raises: PermissionDenied, NoSpace when there can be no run directory. What a later pass
        may mend is logged and tried again.
        """
        self._engine.prepare()
        load_own_modules()
        self._log.info("watching %s", ", ".join(self._sources))
        try:
            self._claim.take_all(self._sources)
            self._subscribe()
            self._find_watched()
            self._request("start")
            self.on_sign_of_life_due()
            while not self._is_ending:
                self._await_event()
                if self._reasons and not self._is_ending:
                    self._pass()
        finally:
            self._heart.on_stop()
            self._close()
        self._log.info("ended; the containers run on")

    # --- events

    def on_files_changed(self) -> None:
        """Put the pass off until the files have been left alone for a while."""
        now = time.monotonic()
        if self._first_change is None:
            self._first_change = now
        latest = self._first_change + self._settings.max_settle_s
        self._timers[self.on_files_settled] = min(now + self._settings.settle_s, latest)

    def on_files_settled(self) -> None:
        """Look at the files, which nobody writes any more."""
        self._first_change = None
        self._request("files changed")

    def on_command(self) -> None:
        """Look at once: a user has done something to containers (`control.wake`)."""
        self._request("a user's command")

    def on_poll_elapsed(self) -> None:
        """Look for changed files where inotify cannot be had."""
        if self._files.has_changed():
            self.on_files_changed()
        self._set_timer(self.on_poll_elapsed, self._settings.poll_s)

    def on_exit(self, name: str, exit_status: ExitStatus) -> None:
        """Look at once: the container may have to run again."""
        how = exit_status.describe()
        self._log.info("%s ended: %s", name, how, extra={"container": name})
        self._request("exit", {name})

    def on_monitor_lost(self) -> None:
        """Have a new monitor, which adopts what runs, and look at everything."""
        message = "the monitor was lost; a new one takes over"
        log_failure(ReconcilerError(ErrorCode.MonitorLost, message, operation="watch"))
        self._subscribe()
        self._request("monitor lost")

    def on_backoff_elapsed(self) -> None:
        """Try again what had to wait."""
        self._request("backoff elapsed", self._due)

    def on_probe_changed(self) -> None:
        """Look at once: a container has become ready, or its probes ask for its end."""
        self._request("a probe's verdict changed")

    def on_actions_ended(self) -> None:
        """Look at once what has become of actions that took their time."""
        if self._is_at_war:
            self._set_timer(self.on_retry_elapsed, _RETRY_S)
        else:
            self._request("actions have ended")

    def on_interval_elapsed(self) -> None:
        """Look for drift, which nobody tells of."""
        self._request("interval elapsed")

    def on_retry_elapsed(self) -> None:
        """Try again what failed as a whole."""
        if self._exits is None:
            self._subscribe()
        self._request("retry")

    def on_sign_of_life_due(self) -> None:
        """Tell systemd that the loop goes round."""
        self._heart.beat()
        if self._heart.interval_s is not None:
            self._set_timer(self.on_sign_of_life_due, self._heart.interval_s)

    def on_signal(self, number: int) -> None:
        """End on SIGTERM and SIGINT; look at once on SIGHUP."""
        self._log.info("got %s", signal.Signals(number).name)
        if number == signal.SIGHUP:
            self._heart.on_reload()
            self._request("SIGHUP")
        else:
            self._is_ending = True

    def on_pass_done(self, report: PassReport) -> None:
        """Set the timers for what the plan leaves to be done later."""
        self._problems.tell(report.plan.problems)
        self._probes.look_after(report.probed())
        due = report.next_due()
        if due is not None:
            self._due = report.due_by(due)
            self._set_timer(self.on_backoff_elapsed, due - wall_s())
        acted = (*report.to_do(), *report.begun)
        if self._patience.lasts_for(acted):
            if report.to_do():
                self._request("converging", {action.name for action in report.to_do()})
            return
        self._is_at_war = bool(acted)
        if acted:
            names = ", ".join(sorted({action.name for action in acted}))
            self._log.warning("no end of changes to %s: pausing", names)
        if acted or not report.held_up:
            self._patience.renew()

    def on_pass_failed(self, error: ReconcilerError) -> None:
        """Try the whole pass again soon; another reconciler at work is no failure."""
        if error.code is ErrorCode.LockTimeout:
            self._log.debug("%s", error)
        else:
            log_failure(error)
        self._set_timer(self.on_retry_elapsed, _RETRY_S)

    # --- parts

    def _request(self, reason: str, names: Iterable[str] | None = None) -> None:
        """Have a pass made; `names`: these containers alone have to be looked at."""
        self._reasons.add(reason)
        if names is None:
            self._names = None
        elif self._names is not None:
            self._names.update(names)

    def _set_timer(self, method: Callable[[], None], seconds: float) -> None:
        self._timers[method] = time.monotonic() + max(0.0, seconds)

    def _await_event(self) -> None:
        """Wait for descriptors and timers, and call the method of each event."""
        poll = select.poll()
        own = (self._signals, self._changed, self._told, self._probed, self._ended)
        fds = [one.fileno() for one in own]
        if self._exits is not None:
            fds.append(self._exits.fileno())
        for fd in fds:
            poll.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(self._patience_ms())}
        if self._signals.fileno() in ready:
            for number in self._signals.read():
                self.on_signal(number)
        if self._changed.fileno() in ready:
            self._changed.clear()
            self.on_files_changed()
        if self._told.fileno() in ready:
            self._told.clear()
            self.on_command()
        if self._probed.fileno() in ready:
            self._probed.clear()
            self.on_probe_changed()
        if self._ended.fileno() in ready:
            self._ended.clear()
            self.on_actions_ended()
        if self._exits is not None and self._exits.fileno() in ready:
            self._take_exits(self._exits)
        self._call_timers()

    def _patience_ms(self) -> float | None:
        if self._reasons:
            return 0
        if not self._timers:
            return None
        return max(0.0, min(self._timers.values()) - time.monotonic()) * 1000 + 1

    def _call_timers(self) -> None:
        now = time.monotonic()
        for method in [method for method, due in self._timers.items() if due <= now]:
            del self._timers[method]
            method()

    def _take_exits(self, events: ExitEvents) -> None:
        exits = events.read()
        if exits is None:
            self.on_monitor_lost()
        else:
            for name, exit_status in exits:
                self.on_exit(name, exit_status)

    def _subscribe(self) -> None:
        """Hear of exits; where that cannot be had, the periodic pass sees them."""
        if self._exits is not None:
            self._exits.close()
            self._exits = None
        try:
            self._exits = self._engine.exits()
        except ReconcilerError as error:
            log_failure(error)
            self._set_timer(self.on_retry_elapsed, _RETRY_S)

    def _wake(self, path: str) -> None:
        """Tell the main thread which of the two it is; called in another thread."""
        is_command = path == os.path.join(self._run_dir, WAKE_FILE)
        (self._told if is_command else self._changed).set()

    def _find_watched(self) -> bool:
        """Find out what is to be watched, and tell whether that is new."""
        before, self._watched = self._watched, self._reconciler.watched_paths()
        own = Interest(frozenset({WAKE_FILE}))
        self._watched[self._run_dir] = own.join(self._watched.get(self._run_dir, own))
        return self._watched != before

    def _arm_files(self) -> None:
        try:
            self._files.arm(self._watched)
        except OSError as error:
            message = (
                f"cannot watch the sources: {error.strerror}; looking at them every "
                f"{self._settings.poll_s:g} s instead"
            )
            log_failure(
                ReconcilerError(ErrorCode.WatchLimit, message, operation="watch", errno=error.errno)
            )
            self._set_timer(self.on_poll_elapsed, self._settings.poll_s)

    def _pass(self) -> None:
        self._log.debug("pass: %s", ", ".join(sorted(self._reasons)))
        self._reasons.clear()
        names, self._names = self._names, set()
        self._timers.pop(self.on_backoff_elapsed, None)
        if names is None:
            self._set_timer(self.on_interval_elapsed, self._settings.interval_s)
            self._arm_files()  # before the pass: what changes during it wakes for the next
        try:
            report = self._reconciler.run_pass(
                lock_timeout_s=self._settings.lock_timeout_s, names=names
            )
        except ReconcilerError as error:
            self.on_pass_failed(error)
            self._heart.on_pass_end(error)
        else:
            self.on_pass_done(report)
            self._heart.on_pass_end(report)
            if names is None and self._find_watched():
                self.on_files_changed()  # what is not yet watched may have changed meanwhile

    def _close(self) -> None:
        if left := self._reconciler.close(_END_PATIENCE_S):
            self._log.info("left to the next reconciler: %s", ", ".join(sorted(left)))
        self._probes.close()
        self._probed.close()
        self._files.close()
        if self._exits is not None:
            self._exits.close()
        self._claim.close()
        self._changed.close()
        self._told.close()
        if not self._reconciler.is_acting():  # else a thread may still set it
            self._ended.close()
        self._signals.close()
