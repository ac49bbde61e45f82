"""When which probe is due, and what each has found: a heap of due times. No thread, no kernel.

Used by the desk, which guards it with a lock. `now` is monotonic seconds, by which it decides;
`at` is wall-clock seconds, which records have.

A run's first check comes `initialDelay` after its start, the next ones every `interval`. What was
last checked by an earlier process is spread over the first seconds, or all would come at once.
The readiness and liveness probes wait for the startup probe, which ends with its first success.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

from reconciler.control.probes.targets import Target
from reconciler.control.probes.verdict import is_news, next_result
from reconciler.model.health import Health, ProbeKind, ProbeResult
from reconciler.model.spec import NS, Probe

MAX_SPREAD_S = 10.0


class Entry:
    """One probe of one run: what it has found so far, and when it is due (monotonic seconds).

    It is idle while it is checked, and while another one has to pass before.
    """

    def __init__(
        self, target: Target, kind: ProbeKind, probe: Probe, result: ProbeResult, due: float
    ) -> None:
        self.target = target
        self.kind = kind
        self.probe = probe
        self.result = result
        self.due = due
        self.is_queued = False
        self.is_checked = False

    @property
    def interval_s(self) -> float:
        """Return the time from one check to the next."""
        return self.probe.interval_ns / NS


class Change(NamedTuple):
    """What a check has changed: the probe's result before and after."""

    entry: Entry
    before: ProbeResult
    after: ProbeResult

    @property
    def is_transition(self) -> bool:
        """Tell whether the probe's verdict is another one."""
        return self.before.passes is not self.after.passes

    @property
    def is_news(self) -> bool:
        """Tell whether it is worth writing down."""
        return is_news(self.before, self.after, self.entry.probe)


class Schedule:
    """All probes of all runs that are looked after."""

    def __init__(self, *, is_spread: bool) -> None:
        self._is_spread = is_spread
        self._entries: dict[tuple[str, ProbeKind], Entry] = {}
        self._targets: dict[str, Target] = {}
        self._heap: list[tuple[float, int, Entry]] = []
        self._count = itertools.count()

    def targets(self) -> dict[str, Target]:
        """Return the runs that are looked after, by name."""
        return dict(self._targets)

    def keep(self, names: Iterable[str]) -> None:
        """Forget every run but those of these containers."""
        for name in self._targets.keys() - set(names):
            self._remove(name)

    def put(self, target: Target, health: Health | None, now: float, at: float) -> None:
        """Look after a run, with what is known of it; what is known of another one is forgotten.

        A probe that was there before keeps what it has found, and when it is due.
        """
        known = self._targets.get(target.name)
        is_same_run = known is not None and known[:3] == target[:3]
        if known == target and health is None:
            return
        if not is_same_run or health is not None:
            self._remove(target.name)
        if health is None or not health.is_of(target.pid, target.started_at):
            health = Health(pid=target.pid, started_at=target.started_at)
        self._targets[target.name] = target
        for kind in ProbeKind:
            self._put_probe(target, kind, health, now, at)
        self._open(target.name)

    def health(self, name: str) -> Health | None:
        """Return what the probes of a run have found, None when it is not looked after."""
        target = self._targets.get(name)
        if target is None:
            return None
        results = {
            kind.value: entry.result
            for kind in ProbeKind
            if (entry := self._entries.get((name, kind))) is not None
        }
        return Health(pid=target.pid, started_at=target.started_at, **results)

    def next_due(self) -> float | None:
        """Return when the next check is due, None when there is none."""
        while self._heap and not self._is_kept(self._heap[0][2]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> list[Entry]:
        """Return what is due; each is to be given back by `settle` or `postpone`."""
        taken = []
        while (due := self.next_due()) is not None and due <= now:
            entry = heapq.heappop(self._heap)[2]
            entry.is_queued, entry.is_checked = False, True
            taken.append(entry)
        return taken

    def postpone(self, entry: Entry, due: float) -> None:
        """Have a probe that was not checked be due at `due`."""
        entry.is_checked = False
        if self._is_kept(entry):
            entry.due = due
            self._push(entry)

    def settle(self, entry: Entry, failure: str | None, now: float, at: float) -> Change | None:
        """Note what a check that began `at` has found; None when its run is over meanwhile."""
        entry.is_checked = False
        if not self._is_kept(entry):
            return None
        change = Change(entry, entry.result, next_result(entry.result, entry.probe, failure, at))
        entry.result = change.after
        entry.due += entry.interval_s
        if entry.due <= now:  # too late to keep step
            entry.due = now + entry.interval_s
        if entry.kind is not ProbeKind.STARTUP or not entry.result.passes:
            self._push(entry)
        else:
            self._open(entry.target.name, now)
        return change

    # --- parts

    def _put_probe(
        self, target: Target, kind: ProbeKind, health: Health, now: float, at: float
    ) -> None:
        key, probe = (target.name, kind), kind.of(target.probes)
        there = self._entries.get(key)
        if there is not None and there.probe == probe:
            there.target = target
            return
        self._entries.pop(key, None)
        if probe is not None:
            result = health.result(kind, probe)
            due = now + self._first_delay_s(target, kind, probe, result, at)
            self._entries[key] = Entry(target, kind, probe, result, due)

    def _first_delay_s(
        self, target: Target, kind: ProbeKind, probe: Probe, result: ProbeResult, at: float
    ) -> float:
        """Return how long to wait for the first check; a clock that was set back delays little."""
        interval_s, initial_s = probe.interval_ns / NS, probe.initial_delay_ns / NS
        if result.checked_at is not None:
            due, longest = result.checked_at + interval_s, interval_s
        else:
            due, longest = target.started_at + initial_s, initial_s
        if self._is_spread and due < at - interval_s:  # long ago: by another process, or never
            phase = crc32(f"{target.name}/{kind}".encode()) / 2**32
            return phase * min(interval_s, MAX_SPREAD_S)
        return min(max(0.0, due - at), longest)

    def _open(self, name: str, earliest: float = 0.0) -> None:
        """Queue the probes of a run that are not yet: the startup probe, or all but it."""
        startup = self._entries.get((name, ProbeKind.STARTUP))
        is_started = startup is None or bool(startup.result.passes)
        for kind in ProbeKind:
            entry = self._entries.get((name, kind))
            if entry is None or entry.is_queued or entry.is_checked:
                continue
            if (kind is ProbeKind.STARTUP) is not is_started:
                entry.due = max(entry.due, earliest)
                self._push(entry)

    def _remove(self, name: str) -> None:
        self._targets.pop(name, None)
        for kind in ProbeKind:
            self._entries.pop((name, kind), None)

    def _push(self, entry: Entry) -> None:
        entry.is_queued = True
        heapq.heappush(self._heap, (entry.due, next(self._count), entry))

    def _is_kept(self, entry: Entry) -> bool:
        return self._entries.get((entry.target.name, entry.kind)) is entry
