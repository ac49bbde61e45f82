"""A real `reconciler watch` beside what a user does by command: it looks at once.

The interval is an hour: only the command, or a timer set because of it, can have woken it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import Engine
from tests.conftest import RunDirs
from tests.integration.daemon import SLEEP, Daemon, pid_of, status_of
from tests.integration.test_reconcile_by_hand import type_in

pytestmark = pytest.mark.requires_root

Watch = Callable[..., Daemon]

COMMAND = "a user's command"
KILLED = "stop: {signal: KILL}\n"


def start(watch: Watch, source: Path, text: str = SLEEP + KILLED) -> Daemon:
    """Return a daemon that has made its container."""
    (source / "web.yaml").write_text(text)
    daemon = watch("--interval", "1h", "--debug", "--settle", "2s")
    daemon.await_action("create", "web")
    return daemon


def test_each_command_makes_it_look_at_once(watch: Watch, run_dirs: RunDirs, source: Path) -> None:
    daemon = start(watch, source)
    for verb in ("pause", "resume", "suspend", "unsuspend", "restart"):
        type_in(run_dirs, verb, "web")
        daemon.await_message(COMMAND)


def test_a_command_that_fails_half_way_makes_it_look_too(
    watch: Watch, run_dirs: RunDirs, source: Path
) -> None:
    (source / "off.yaml").write_text(SLEEP + "state: stopped\n")
    daemon = start(watch, source)
    assert "ContainerNotRunning" in type_in(run_dirs, "pause", "web", "off", code=1)
    daemon.await_message(COMMAND)
    assert "paused by hand" in type_in(run_dirs, "events", "web")


def test_what_waited_for_the_end_of_a_suspension_is_done_with_unsuspend(
    watch: Watch, run_dirs: RunDirs, engine: Engine, source: Path
) -> None:
    daemon = start(watch, source)
    type_in(run_dirs, "suspend", "web")
    daemon.await_message(COMMAND)
    (source / "web.yaml").write_text(SLEEP + KILLED + "resources: {pids: {max: 77}}\n")
    daemon.await_message("pass: files changed")
    type_in(run_dirs, "unsuspend", "web")
    daemon.await_action("update", "web")
    assert engine.load("web").limits()["resources.pids.max"] == 77


def test_the_end_of_a_suspension_by_command_wakes_it(
    watch: Watch, run_dirs: RunDirs, engine: Engine, source: Path
) -> None:
    daemon = start(watch, source)
    type_in(run_dirs, "suspend", "web", "--for", "1s")
    engine.load("web").pause()
    daemon.await_action("resume", "web")
    assert status_of(engine, "web") == "running"


def test_the_deadline_of_a_job_that_a_user_restarts_wakes_it(
    watch: Watch, run_dirs: RunDirs, engine: Engine, source: Path
) -> None:
    text = "kind: Job\ncommand: [sleep, '1000']\ndeadline: 1s\nrestart: {policy: never}\n"
    daemon = start(watch, source, text + KILLED)
    daemon.await_action("stop", "web")
    type_in(run_dirs, "restart", "web")
    pid = pid_of(engine, "web")
    daemon.await_action("stop", "web")
    assert not Path(f"/proc/{pid}").exists()
