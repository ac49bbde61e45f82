"""A fake engine in directories of its own, with a clock that only tests move."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.engine import FakeEngine
from tests.unit.planning.world_model import NOW


class FakeClock:
    """Wall-clock seconds; call it for the time, add to `now` for it to pass."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def engine(tmp_path: Path, clock: FakeClock) -> FakeEngine:
    for name in ("run", "state"):
        (tmp_path / name).mkdir()
    return FakeEngine(str(tmp_path / "run"), str(tmp_path / "state"), clock)
