"""How an end is told to people, with the figures of an end by want of memory."""

from __future__ import annotations

import pytest

from reconciler.model.codec import from_dict
from reconciler.model.state import ExitStatus, OomMemory

MIB = 2**20


def oom(**figures: int | None) -> str:
    memory = OomMemory(**figures)  # type: ignore[arg-type]
    return ExitStatus(code=None, signal=9, oom=True, at=1.0, memory=memory).describe()


@pytest.mark.parametrize(
    ("code", "signal", "text"),
    [
        (0, None, "exit code 0"),
        (None, 15, "killed by signal 15"),
        (None, None, "exit status unknown"),
    ],
)
def test_an_end_is_told_by_code_or_signal(code: int | None, signal: int | None, text: str) -> None:
    assert ExitStatus(code=code, signal=signal, oom=False, at=1.0).describe() == text


def test_an_oom_is_told_with_what_was_reached_and_the_limit() -> None:
    told = oom(peak_bytes=64 * MIB, limit_bytes=64 * MIB)
    assert told == "killed by signal 9 (out of memory: reached 64Mi of resources.memory.max 64Mi)"


def test_a_shell_that_passes_an_oom_on_is_told_alike() -> None:
    memory = OomMemory(peak_bytes=64 * MIB, limit_bytes=64 * MIB)
    told = ExitStatus(code=137, signal=None, oom=True, at=1.0, memory=memory).describe()
    assert told == "exit code 137 (out of memory: reached 64Mi of resources.memory.max 64Mi)"


def test_an_oom_far_below_its_own_limit_is_the_hosts_or_that_of_a_cgroup_above() -> None:
    told = oom(peak_bytes=10 * MIB, limit_bytes=64 * MIB)
    assert told.endswith("of resources.memory.max 64Mi; the host or a cgroup above had no more)")


def test_an_oom_without_a_limit_says_so() -> None:
    told = oom(peak_bytes=10 * MIB)
    assert "reached 10Mi with no resources.memory.max; the host or" in told


def test_kernels_that_know_no_peak_tell_the_limit() -> None:
    told = oom(limit_bytes=64 * MIB)
    assert told == "killed by signal 9 (out of memory: resources.memory.max 64Mi)"


def test_an_oom_of_an_older_record_has_no_figures() -> None:
    old = from_dict(ExitStatus, {"code": None, "signal": 9, "oom": True, "at": 1.0})
    assert old.memory is None
    assert old.describe() == "killed by signal 9 (out of memory)"
