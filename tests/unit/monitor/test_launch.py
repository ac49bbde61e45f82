"""What a set-up says over its status pipe: two processes write, one of which may be traced."""

from __future__ import annotations

import pytest

from reconciler.monitor.launch import parse_status

PID, FAILED = b'{"pid": 7}\n', b'{"step": "mount", "kind": "MountFs", "errno": 2}\n'


@pytest.mark.parametrize("said", [PID + FAILED, FAILED + PID])
def test_the_number_and_the_failure_are_known_in_any_order(said: bytes) -> None:
    pid, failure = parse_status(said)
    assert pid == 7
    assert failure is not None
    assert (failure["step"], failure["errno"], failure["path"]) == ("mount", 2, None)


@pytest.mark.parametrize(
    "line", [b"\xff", b"[]", b"{}", b"7", b'{"pid": "x"}', b"null", b"[" * 100_000]
)
def test_what_cannot_be_understood_is_a_failure_and_hides_no_process(line: bytes) -> None:
    for said in (PID + line, line + b"\n" + PID):
        pid, failure = parse_status(said)
        assert pid == 7
        assert failure is not None
        assert "cannot be understood" in failure["text"]


def test_silence_is_no_failure() -> None:
    assert parse_status(b"") == (None, None)
    assert parse_status(PID) == (7, None)
