"""Waiting with a deadline, the only place in these tests where time passes on purpose."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

STEP_S = 0.02


def wait_until(check: Callable[[], T], what: str, timeout_s: float = 15.0) -> T:
    """Return the first true answer of `check`; fail with `what` when there is none in time."""
    deadline = time.monotonic() + timeout_s
    answer = check()
    while not answer:
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}; last answer: {answer!r}")
        time.sleep(STEP_S)
        answer = check()
    return answer
