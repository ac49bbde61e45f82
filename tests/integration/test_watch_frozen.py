"""A real `reconciler watch` and what no file names any more: frozen, thawed, destroyed in time.

The interval is an hour: only a file's event or a timer can have woken it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import Engine
from tests.e2e.waiting import wait_until
from tests.integration.daemon import SLEEP, Daemon, status_of

pytestmark = pytest.mark.requires_root

Watch = Callable[..., Daemon]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "conf"
    made.mkdir()
    (made / "kept.yaml").write_text(SLEEP)
    return made


def test_what_is_frozen_is_destroyed_when_its_time_is_over(
    watch: Watch, engine: Engine, source: Path
) -> None:
    file = source / "web.yaml"
    file.write_text(SLEEP + "prune: {mode: freeze, ttl: 1s}\n")
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "web")
    file.unlink()
    daemon.await_action("freeze", "web")
    destroyed = daemon.await_action("destroy", "web")
    assert "kept frozen for 1s" in destroyed["reason"]
    assert [one.id for one in engine.list()] == ["kept"]


def test_what_is_frozen_runs_on_when_its_file_comes_back(
    watch: Watch, engine: Engine, source: Path
) -> None:
    file = source / "web.yaml"
    file.write_text(SLEEP + "prune: {mode: freeze, ttl: 1h}\n")
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "web")
    init = engine.load("web").record.init
    moved = file.rename(source / "web.txt")
    daemon.await_action("freeze", "web")
    # Freezing ends by itself: the kernel's v1 freezer goes on after the write has returned.
    wait_until(lambda: status_of(engine, "web") == "paused", "web is paused")
    moved.rename(file)
    daemon.await_action("resume", "web")
    assert engine.load("web").record.init == init
