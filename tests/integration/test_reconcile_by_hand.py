"""suspend, unsuspend, pause and resume, as typed, and what passes make of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler import Engine, Status
from reconciler.control.reconcile import Reconciler
from reconciler.linux.clock import wall_s
from tests.conftest import RunDirs

pytestmark = pytest.mark.requires_root

FROZEN = (Status.PAUSING, Status.PAUSED)
SLEEP = "command: [/bin/sleep, '1000']\nrestart: {backoff: {initial: 0s}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "specs" / "web.yaml"
    path.parent.mkdir()
    path.write_text(SLEEP)
    return path


def converge(engine: Engine, file: Path, *, later_s: float = 0) -> list[str]:
    clock = lambda: wall_s() + later_s  # noqa: E731
    report = Reconciler(engine, [str(file.parent)], clock=clock).converge()
    return [one.action.verb for one in report.outcomes]


def type_in(dirs: RunDirs, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", *words],
        env=os.environ | dirs.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def shown(dirs: RunDirs, kind: str) -> dict[str, Any]:
    (item,) = json.loads(type_in(dirs, "status", "--output", "json"))["items"]
    (condition,) = [one for one in item["conditions"] if one["type"] == kind]
    return dict(condition)


def kill(engine: Engine) -> None:
    init = engine.load("web").record.init
    assert init is not None
    os.kill(init.pid, signal.SIGKILL)
    engine.load("web").wait(30)


def test_a_suspended_container_is_left_as_it_is_until_it_is_unsuspended(
    run_dirs: RunDirs, engine: Engine, file: Path
) -> None:
    converge(engine, file)
    said = type_in(run_dirs, "suspend", "web", "--reason", "under repair")
    assert said == "suspended web: under repair\n"
    kill(engine)
    file.write_text(SLEEP + "env: {A: b}\n")
    assert converge(engine, file) == []
    assert shown(run_dirs, "Suspended")["message"] == "under repair"
    file.rename(file.with_suffix(".off"))
    assert converge(engine, file) == []
    file.with_suffix(".off").rename(file)
    assert "the next pass looks at it" in type_in(run_dirs, "unsuspend", "web")
    assert converge(engine, file) == ["start"]
    assert "not suspended by command" in type_in(run_dirs, "unsuspend", "web")


def test_a_suspension_for_a_time_ends_by_itself(
    run_dirs: RunDirs, engine: Engine, file: Path
) -> None:
    converge(engine, file)
    type_in(run_dirs, "suspend", "web", "--for", "1h")
    kill(engine)
    assert converge(engine, file, later_s=3500) == []
    assert converge(engine, file, later_s=3601) == ["start"]
    assert "--for" in type_in(run_dirs, "suspend", "web", "--for", "long", code=64)


def test_a_pause_by_hand_outlives_passes_and_a_restart_until_it_is_resumed(
    run_dirs: RunDirs, engine: Engine, file: Path
) -> None:
    converge(engine, file)
    assert "paused web" in type_in(run_dirs, "pause", "web")
    assert engine.load("web").status() in FROZEN
    assert converge(engine, file) == []
    assert shown(run_dirs, "Running")["reason"] == "PausedByHand"
    kill(engine)
    assert converge(engine, file) == ["start"]
    file.write_text(SLEEP + "rootfs: {readonly: false}\n")
    assert converge(engine, file) == ["recreate"]
    assert engine.load("web").status() in FROZEN
    assert type_in(run_dirs, "resume", "web") == "resumed web\n"
    assert converge(engine, file) == []
    assert engine.load("web").status() is Status.RUNNING


def test_what_the_spec_pauses_is_not_resumed_by_hand(
    run_dirs: RunDirs, engine: Engine, file: Path
) -> None:
    file.write_text(SLEEP + "state: paused\n")
    converge(engine, file)
    assert "stays paused" in type_in(run_dirs, "resume", "web")
    assert engine.load("web").status() in FROZEN


def test_what_passes_and_users_do_is_in_the_events(
    run_dirs: RunDirs, engine: Engine, file: Path
) -> None:
    converge(engine, file)
    type_in(run_dirs, "pause", "web")
    type_in(run_dirs, "resume", "web")
    type_in(run_dirs, "suspend", "web")
    type_in(run_dirs, "unsuspend", "web")
    lines = type_in(run_dirs, "events", "web", "--since", "1h", "--output", "json").splitlines()
    names = [json.loads(line)["name"] for line in lines]
    assert names == ["create", "pause", "resume", "suspend", "unsuspend"]
    assert "create web (it does not exist)" in type_in(run_dirs, "events")
    assert type_in(run_dirs, "events", "db") == ""
