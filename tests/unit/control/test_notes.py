"""What is noted in a record comes back as it was, from other versions too."""

from __future__ import annotations

import json

import pytest

from reconciler.control import notes
from reconciler.model.frozen import replace
from reconciler.model.record import Record
from reconciler.model.spec import Backoff, DesiredState, Kind, Restart, RestartPolicy, Stop
from reconciler.model.state import ProcessId
from reconciler.model.world import RestartMemory
from tests.unit.planning.world_model import make_resources, make_spec

SPEC = make_spec(
    labels={"tier": "front"},
    kind=Kind.JOB,
    state=DesiredState.PAUSED,
    restart=Restart(policy=RestartPolicy.NEVER, backoff=Backoff(factor=3.5)),
    stop=Stop(signal="INT", grace_ns=5),
    resources=make_resources(pids=5),
)


def record_with(annotations: dict[str, str], init: ProcessId | None = None) -> Record:
    return Record(id="web", config=SPEC.config, created_at=0.0, annotations=annotations, init=init)


def test_a_spec_comes_back_with_the_config_of_the_record() -> None:
    noted = notes.encode_spec(SPEC)
    assert notes.decode_spec("web", noted, SPEC.config) == SPEC
    other = make_spec(command=("/bin/other",)).config
    decoded = notes.decode_spec("web", noted, other)
    assert decoded is not None
    assert decoded.config == other


def test_the_config_is_not_noted_twice() -> None:
    (text,) = notes.encode_spec(SPEC).values()
    assert "/bin/server" not in text


def test_a_container_without_a_note_is_not_the_reconcilers() -> None:
    assert notes.decode_spec("web", {"other/key": "1"}, SPEC.config) is None


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"origin": 5}'])
def test_a_note_that_names_no_origin_is_nobodys(text: str) -> None:
    assert notes.decode_spec("web", {notes.SPEC: text}, SPEC.config) is None


def test_a_note_of_another_version_keeps_its_owner() -> None:
    noted = json.loads(notes.encode_spec(SPEC)[notes.SPEC])
    text = json.dumps(noted | {"fieldOfTheFuture": 1})
    decoded = notes.decode_spec("web", {notes.SPEC: text}, SPEC.config)
    assert decoded is not None
    assert (decoded.name, decoded.source, decoded.config) == ("web", SPEC.source, SPEC.config)


def test_the_memory_of_restarts_comes_back() -> None:
    memory = RestartMemory(count=7, failures=3, is_stopped=True)
    assert notes.decode_memory(record_with(notes.encode_memory(memory))) == memory
    assert notes.encode_memory(memory).keys() & notes.encode_spec(SPEC).keys() == set()


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"fieldOfTheFuture": 1}'])
def test_a_memory_that_cannot_be_read_begins_anew(text: str) -> None:
    assert notes.decode_memory(record_with({notes.RESTARTS: text})) == RestartMemory()


def test_that_we_ended_a_run_is_true_of_that_run_alone() -> None:
    ended = record_with({}, ProcessId(pid=7, start_ticks=8, boot_id="b"))
    noted = replace(ended, annotations=notes.encode_stopped(ended))
    assert notes.decode_memory(noted).is_stopped
    again = replace(noted, init=ProcessId(pid=7, start_ticks=9, boot_id="b"))
    assert not notes.decode_memory(again).is_stopped
    never = record_with({})
    assert not notes.decode_memory(
        replace(never, annotations=notes.encode_stopped(never))
    ).is_stopped
