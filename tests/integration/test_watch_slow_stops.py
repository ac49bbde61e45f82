"""A real `reconciler watch` while one container takes its time to stop: the others do not wait.

The grace is an hour and the interval too: what ends the slow one is the test, and what wakes a
pass an event.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux.proc import is_same_process
from reconciler.model.state import ProcessId
from tests.integration.daemon import SLEEP, Daemon, status_of
from tests.integration.slow_stops import SLOW, await_line, init_of

pytestmark = pytest.mark.requires_root

Watch = Callable[..., Daemon]

AT_ONCE = "restart: {backoff: {initial: 0s}}\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "conf"
    made.mkdir()
    (made / "kept.yaml").write_text(SLEEP + AT_ONCE)
    return made


def begin_slow_stop(daemon: Daemon, engine: Engine, file: Path, text: str = SLOW) -> ProcessId:
    """Have the container of a file begin to stop, which will take an hour; return its init."""
    file.write_text(text)
    daemon.await_action("create", file.stem)
    await_line(engine, file.stem, "up")
    init = init_of(engine, file.stem)
    file.unlink()
    await_line(engine, file.stem, "draining")
    return init


def test_a_crash_and_a_new_file_do_not_wait_for_the_graceful_stop_of_another(
    watch: Watch, engine: Engine, source: Path
) -> None:
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "kept")
    slow = begin_slow_stop(daemon, engine, source / "slow.yaml")
    os.kill(init_of(engine, "kept").pid, signal.SIGKILL)
    daemon.await_action("start", "kept")
    (source / "new.yaml").write_text(SLEEP)
    daemon.await_action("create", "new")
    assert is_same_process(slow.pid, slow.start_ticks)
    os.kill(slow.pid, signal.SIGKILL)
    daemon.await_action("destroy", "slow")
    assert [one.id for one in engine.list()] == ["kept", "new"]


def test_what_the_stopping_one_depends_on_is_stopped_after_it(
    watch: Watch, engine: Engine, source: Path
) -> None:
    db = source / "db.yaml"
    db.write_text(SLEEP)
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "db")
    text = SLOW + "dependsOn: {db: started}\n"
    slow = begin_slow_stop(daemon, engine, source / "slow.yaml", text)
    db.unlink()
    (source / "new.yaml").write_text(SLEEP)
    daemon.await_action("create", "new")
    assert status_of(engine, "db") == "running"
    os.kill(slow.pid, signal.SIGKILL)
    daemon.await_action("destroy", "slow")
    daemon.await_action("destroy", "db")


def test_a_file_that_comes_back_during_the_stop_is_a_new_container_after_it(
    watch: Watch, engine: Engine, source: Path
) -> None:
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "kept")
    slow = begin_slow_stop(daemon, engine, source / "slow.yaml")
    (source / "slow.yaml").write_text(SLEEP)
    (source / "new.yaml").write_text(SLEEP)
    daemon.await_action("create", "new")
    os.kill(slow.pid, signal.SIGKILL)
    daemon.await_action("destroy", "slow")
    daemon.await_action("create", "slow")


def test_another_reconciler_waits_until_nothing_is_under_way(
    watch: Watch, engine: Engine, source: Path
) -> None:
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "kept")
    slow = begin_slow_stop(daemon, engine, source / "slow.yaml")
    with pytest.raises(ReconcilerError) as caught, engine.lock(0):
        pass
    assert caught.value.code is ErrorCode.LockTimeout
    os.kill(slow.pid, signal.SIGKILL)
    daemon.await_action("destroy", "slow")
    with engine.lock(10):
        pass


def test_the_daemon_ends_without_waiting_and_the_next_one_finishes_the_stop(
    watch: Watch, engine: Engine, source: Path
) -> None:
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "kept")
    slow = begin_slow_stop(daemon, engine, source / "slow.yaml")
    daemon.process.send_signal(signal.SIGTERM)
    daemon.await_message("left to the next reconciler: slow")
    assert daemon.end() == 0
    assert is_same_process(slow.pid, slow.start_ticks)
    following = watch("--interval", "1h")
    os.kill(slow.pid, signal.SIGKILL)
    following.await_action("destroy", "slow")
    assert [one.id for one in engine.list()] == ["kept"]
