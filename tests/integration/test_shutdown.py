"""A host that shuts down: containers are stopped as their files say, dependents first."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import Engine, Status
from reconciler.model.config import Config
from tests.conftest import RunDirs
from tests.integration.conftest import Run
from tests.integration.daemon import SLEEP
from tests.integration.slow_stops import await_line

pytestmark = pytest.mark.requires_root

SCRIPT = "trap 'echo drained; exit' INT; echo up; while :; do sleep 0.1; done"
SERVER = f'command: [/bin/sh, -c, "{SCRIPT}"]\nstop: {{signal: INT, grace: 1h}}\n'


def shut_down(dirs: RunDirs) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reconciler.control.shutdown"]
    command += [str(dirs.run_dir), str(dirs.state_dir)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_all_are_stopped_by_their_own_signals_in_order_and_nothing_is_removed(
    run: Run, run_dirs: RunDirs, engine: Engine, source: Path
) -> None:
    (source / "db.yaml").write_text(SERVER)
    (source / "web.yaml").write_text(f"{SERVER}dependsOn: {{db: started}}\n")
    (source / "off.yaml").write_text(f"{SLEEP}state: stopped\n")
    run("apply", source)
    for name in ("db", "web"):
        await_line(engine, name, "up")
    done = shut_down(run_dirs)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"\bstop (db|web)\b", done.stderr) == ["web", "db"]
    for name in ("db", "web"):
        await_line(engine, name, "drained")
        assert engine.load(name).status() is Status.STOPPED
    assert "started db" in run("apply", source).stdout


def test_what_no_file_has_made_is_left_to_systemd(engine: Engine, run_dirs: RunDirs) -> None:
    container = engine.create("own", Config(command=("sleep", "1000")))
    container.start()
    assert shut_down(run_dirs).returncode == 0
    assert container.status() is Status.RUNNING


def test_where_nothing_was_ever_made_nothing_is_done(run_dirs: RunDirs) -> None:
    assert shut_down(run_dirs).returncode == 0
    assert not (run_dirs.run_dir / "containers").exists()
