"""The desk with an engine in memory: findings on disk, claims, one round of what is due."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from reconciler.control.journal import JournalReader
from reconciler.control.notes import encode_spec
from reconciler.control.observe import observe
from reconciler.control.probes.claims import Claims
from reconciler.control.probes.desk import Desk
from reconciler.control.probes.health_file import read_health, write_health
from reconciler.control.probes.rounds import probe_due
from reconciler.control.probes.targets import targets_of
from reconciler.model.frozen import replace
from reconciler.model.health import Health, ProbeResult
from reconciler.model.spec import NS, Probe, Probes
from tests.fakes.engine import FakeContainer, FakeEngine
from tests.unit.control.conftest import FakeClock
from tests.unit.planning.world_model import make_spec

# So long that a second round at once would not be due, so old that each first one is.
ALIVE = Probe(exec=("true",), interval_ns=3600 * NS)
START = Probe(exec=("started",), interval_ns=3600 * NS)


@pytest.fixture
def web(engine: FakeEngine) -> FakeContainer:
    """Give a container that runs, whose spec has a startup and a liveness probe."""
    spec = make_spec("web", probes=Probes(startup=START, liveness=ALIVE))
    container = engine.create("web", spec.config, encode_spec(spec))
    container.start()
    Path(engine.run_dir, "containers/web").mkdir(parents=True)
    return container


def probe(engine: FakeEngine, clock: FakeClock) -> bool:
    return probe_due(engine, observe(engine, clock).containers.values())


def health(engine: FakeEngine) -> Health:
    found = read_health(engine.run_dir, "web")
    assert found is not None
    return found


def checks(engine: FakeEngine) -> list[str]:
    return [verb for verb in engine.verbs("web") if verb.startswith("execute ")]


def test_one_round_checks_what_is_due_and_what_has_waited_for_the_startup_probe(
    engine: FakeEngine, web: FakeContainer, clock: FakeClock
) -> None:
    assert probe(engine, clock)
    assert checks(engine) == ["execute started", "execute true"]
    assert (health(engine).startup.passes, health(engine).liveness.passes) == (True, True)
    assert observe(engine, clock).health == {"web": health(engine)}
    assert not probe(engine, clock)
    assert len(checks(engine)) == 2


def test_failures_count_over_successive_rounds_and_only_transitions_are_journaled(
    engine: FakeEngine, web: FakeContainer, clock: FakeClock
) -> None:
    probe(engine, clock)
    engine.exit_codes["web"] = 3
    for count in (1, 2, 3):
        ago = replace(health(engine).liveness, checked_at=1.0)
        write_health(engine.run_dir, "web", replace(health(engine), liveness=ago))
        assert probe(engine, clock) is (count == 3)
        assert health(engine).liveness.failures == count
    with contextlib.closing(JournalReader(engine.state_dir)) as reader:
        events = list(reader.read())
    assert [(one["name"], one["message"]) for one in events] == [
        ("probe", "web: its startup probe passes"),
        ("probe", "web: its liveness probe passes"),
        ("ProbeFailed", "web: its liveness probe failed 3 times in a row: exit code 3"),
    ]
    assert [one["code"] for one in events] == [0, 0, 160]


def test_a_paused_container_is_not_checked(
    engine: FakeEngine, web: FakeContainer, clock: FakeClock
) -> None:
    web.pause()
    assert not probe(engine, clock)
    assert checks(engine) == []


def test_what_another_process_probes_is_left_to_it_until_it_lets_go(
    engine: FakeEngine, web: FakeContainer, clock: FakeClock
) -> None:
    other = Claims(engine.run_dir)
    assert other.take("web")
    assert not probe(engine, clock)
    assert checks(engine) == []
    other.close()
    assert probe(engine, clock)


def test_who_takes_a_claim_over_goes_on_from_what_was_found_meanwhile(
    engine: FakeEngine, web: FakeContainer, clock: FakeClock
) -> None:
    other, desk = Claims(engine.run_dir), Desk(engine, is_spread=False)
    assert other.take("web")
    desk.look_after(targets_of(observe(engine, clock).containers.values()))
    (entry,) = desk.take_due()
    assert not desk.work(entry)
    probe_free = Desk(engine, is_spread=False)  # what the other one does
    other.close()
    probe_free.look_after(targets_of(observe(engine, clock).containers.values()))
    for one in probe_free.take_due():
        probe_free.work(one)
    probe_free.close()
    assert health(engine).startup.passes
    assert not desk.work(entry)  # it has the claim now, and looks anew
    assert checks(engine) == ["execute started"]
    for one in desk.take_due():
        desk.work(one)
    assert checks(engine) == ["execute started", "execute true"]
    desk.close()


def test_claims_exclude_one_another_by_container_and_end_with_their_holder(tmp_path: Path) -> None:
    one, two = Claims(str(tmp_path)), Claims(str(tmp_path))
    assert one.take("a")
    assert one.take("a")
    assert not two.take("a")
    assert two.take("b")
    one.release("a")
    assert two.take("a")
    two.close()
    assert one.take("b")
    one.close()


@pytest.mark.parametrize("data", ["", "[]", "{", '{"pid": 1}', '{"pid": 1, "x": 2}', "\xff"])
def test_a_file_that_cannot_be_understood_is_as_none(tmp_path: Path, data: str) -> None:
    (tmp_path / "containers/web").mkdir(parents=True)
    (tmp_path / "containers/web/health.json").write_text(data, encoding="latin-1")
    assert read_health(str(tmp_path), "web") is None
    found = Health(pid=1, started_at=2.5, liveness=ProbeResult(passes=False, message="\udcff"))
    write_health(str(tmp_path), "web", found)
    assert read_health(str(tmp_path), "web") == found
    names = [path.name for path in (tmp_path / "containers/web").iterdir()]
    assert names == ["health.json"]


def test_of_a_container_that_is_gone_nothing_is_written(tmp_path: Path) -> None:
    write_health(str(tmp_path), "web", Health(pid=1, started_at=2.0))
    assert list(tmp_path.iterdir()) == []


def test_a_verdict_that_cannot_be_written_is_tried_again_and_then_wakes(
    engine: FakeEngine, clock: FakeClock
) -> None:
    every = Probe(exec=("true",), interval_ns=1)
    spec = make_spec("web", probes=Probes(readiness=every))
    engine.create("web", spec.config, encode_spec(spec)).start()
    path = Path(engine.run_dir, "containers/web/health.json")
    path.mkdir(parents=True)  # in the way of the file
    desk = Desk(engine, is_spread=False)
    desk.look_after(targets_of(observe(engine, clock).containers.values()))
    (entry,) = desk.take_due()
    assert not desk.work(entry)
    path.rmdir()
    assert [desk.work(one) for one in desk.take_due()] == [True]
    assert health(engine).readiness.passes
    assert [desk.work(one) for one in desk.take_due()] == [False]
    desk.close()


def test_health_is_small_on_disk(engine: FakeEngine, web: FakeContainer, clock: FakeClock) -> None:
    probe(engine, clock)
    data = json.loads(Path(engine.run_dir, "containers/web/health.json").read_text())
    assert data.keys() == {"pid", "started_at", "startup", "liveness"}
