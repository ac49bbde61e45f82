"""When probes are due and what becomes of their findings, by a clock that only the test moves."""

from __future__ import annotations

from collections import Counter

from reconciler.control.probes.schedule import Entry, Schedule
from reconciler.control.probes.targets import Target
from reconciler.model.frozen import replace
from reconciler.model.health import Health, ProbeKind, ProbeResult, probe_identity
from reconciler.model.spec import NS, Probe, Probes

AT = 1_000_000.0  # wall-clock seconds
PROBE = Probe(unix="/s", interval_ns=10 * NS)


def target(probes: Probes, name: str = "web", *, pid: int = 7, started_at: float = AT) -> Target:
    return Target(name, pid, started_at, probes)


class Clock:
    """A schedule, and what is due in it second by second; the wall clock is `AT` ahead."""

    def __init__(self, *, is_spread: bool = False) -> None:
        self.schedule = Schedule(is_spread=is_spread)
        self.now = 0.0

    def put(self, one: Target, health: Health | None = None) -> None:
        self.schedule.put(one, health, self.now, AT + self.now)

    def due(self) -> list[Entry]:
        return self.schedule.take_due(self.now)

    def check(self, failure: str | None = None) -> list[str]:
        """Check all that is due; return of which kind each was."""
        entries = self.due()
        for entry in entries:
            self.schedule.settle(entry, failure, self.now, AT + self.now)
        return [entry.kind.value for entry in entries]

    def go_to(self, now: float) -> Clock:
        self.now = now
        return self


def health_of(name: str, schedule: Schedule) -> Health:
    found = schedule.health(name)
    assert found is not None
    return found


def test_the_first_check_comes_after_the_initial_delay_and_the_next_with_the_interval() -> None:
    clock = Clock()
    clock.put(target(Probes(readiness=replace(PROBE, initial_delay_ns=3 * NS))))
    assert clock.schedule.next_due() == 3.0
    assert clock.go_to(2.9).check() == []
    assert clock.go_to(3.5).check() == ["readiness"]
    assert clock.schedule.next_due() == 13.0
    assert clock.go_to(13.0).check() == ["readiness"]


def test_a_check_that_is_too_late_to_keep_step_is_not_made_up_for() -> None:
    clock = Clock()
    clock.put(target(Probes(liveness=PROBE)))
    assert clock.go_to(35.0).check() == ["liveness"]
    assert clock.schedule.next_due() == 45.0


def test_what_is_being_checked_is_not_due_a_second_time() -> None:
    clock = Clock()
    clock.put(target(Probes(liveness=PROBE)))
    (entry,) = clock.due()
    assert clock.go_to(100.0).due() == []
    clock.schedule.postpone(entry, 101.0)
    assert clock.go_to(101.0).due() == [entry]


def test_readiness_and_liveness_wait_for_startup_which_ends_with_its_first_success() -> None:
    clock = Clock()
    clock.put(target(Probes(startup=PROBE, readiness=PROBE, liveness=PROBE)))
    assert clock.check("not yet") == ["startup"]
    assert clock.go_to(10.0).check() == ["startup"]
    assert health_of("web", clock.schedule).startup.passes is True
    assert sorted(clock.check()) == ["liveness", "readiness"]
    assert sorted(clock.go_to(20.0).check()) == ["liveness", "readiness"]


def test_initial_delays_count_from_the_start_of_the_run_for_each_probe() -> None:
    clock = Clock()
    late = replace(PROBE, initial_delay_ns=60 * NS)
    clock.put(target(Probes(startup=PROBE, liveness=late)))
    assert clock.check() == ["startup"]
    assert clock.schedule.next_due() == 60.0


def test_a_new_run_begins_anew_and_what_was_found_of_the_old_one_is_discarded() -> None:
    clock = Clock()
    clock.put(target(Probes(liveness=PROBE)))
    assert clock.check("refused") == ["liveness"]
    (old,) = clock.go_to(10.0).due()
    clock.put(target(Probes(liveness=PROBE), pid=8, started_at=AT + 10))
    assert clock.schedule.settle(old, "refused", 10.0, AT + 10) is None
    assert health_of("web", clock.schedule).liveness.failures == 0
    assert clock.check() == ["liveness"]


def test_another_probe_begins_anew_and_the_others_keep_their_step() -> None:
    clock = Clock()
    clock.put(target(Probes(readiness=PROBE, liveness=PROBE)))
    clock.check("refused")
    clock.put(target(Probes(readiness=PROBE, liveness=replace(PROBE, unix="/other"))))
    found = health_of("web", clock.schedule)
    assert (found.readiness.failures, found.liveness.failures) == (1, 0)
    assert clock.check() == ["liveness"]


def test_what_is_not_kept_is_never_due_again() -> None:
    clock = Clock()
    for name in ("a", "b"):
        clock.put(target(Probes(liveness=PROBE), name))
    clock.schedule.keep(["b"])
    assert [entry.target.name for entry in clock.due()] == ["b"]
    assert clock.schedule.health("a") is None


def test_what_an_earlier_process_found_goes_on_with_its_counts_and_its_step() -> None:
    clock = Clock()
    known = ProbeResult(failures=2, checked_at=AT - 4, message="m", check=probe_identity(PROBE))
    clock.put(target(Probes(liveness=PROBE)), Health(pid=7, started_at=AT, liveness=known))
    assert clock.schedule.next_due() == 6.0
    (entry,) = clock.go_to(6.0).due()
    change = clock.schedule.settle(entry, "again", 6.0, AT + 6)
    assert change is not None
    assert change.is_transition
    assert (change.after.passes, change.after.failures, change.after.since) == (False, 3, AT + 6)


def test_what_is_known_of_another_run_or_another_probe_counts_for_nothing() -> None:
    for pid, check in ((8, probe_identity(PROBE)), (7, 1)):
        clock = Clock()
        known = ProbeResult(passes=False, failures=2, checked_at=AT, check=check)
        clock.put(target(Probes(liveness=PROBE)), Health(pid=pid, started_at=AT, liveness=known))
        assert health_of("web", clock.schedule).liveness == ProbeResult(check=probe_identity(PROBE))


def test_a_wall_clock_that_was_set_back_delays_no_check_by_more_than_its_interval() -> None:
    clock = Clock()
    known = ProbeResult(checked_at=AT + 10**6, check=probe_identity(PROBE))
    clock.put(target(Probes(liveness=PROBE)), Health(pid=7, started_at=AT, liveness=known))
    assert clock.schedule.next_due() == 10.0
    clock = Clock()
    clock.put(target(Probes(liveness=PROBE), started_at=AT + 10**6))
    assert clock.schedule.next_due() == 0.0


def test_a_thousand_probes_of_earlier_runs_are_spread_over_their_interval() -> None:
    clock = Clock(is_spread=True)
    for number in range(1000):
        clock.put(target(Probes(liveness=PROBE), f"c{number}", started_at=AT - 3600))
    by_second: Counter[int] = Counter()
    for tick in range(1, 11):
        by_second[tick] = len(clock.go_to(tick).due())
    assert sum(by_second.values()) == 1000
    assert max(by_second.values()) < 200


def test_a_run_that_has_just_begun_is_not_made_to_wait() -> None:
    clock = Clock(is_spread=True)
    clock.put(target(Probes(readiness=PROBE)))
    assert clock.check() == [ProbeKind.READINESS.value]
