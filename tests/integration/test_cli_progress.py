"""The line that shows how far long work has come, on a real terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import Engine
from tests.conftest import RunDirs
from tests.integration.conftest import output

pytestmark = pytest.mark.requires_root

# Takes its time to stop.
SERVER = "trap 'sleep 1.5; exit 0' TERM; echo up; while :; do sleep 1000 & wait $!; done"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    return tmp_path / "specs"


def write(source: Path, state: str) -> None:
    (source / "web.yaml").write_text(f'command: [/bin/sh, -c, "{SERVER}"]\nstate: {state}')


def run_cli(run_dirs: RunDirs, *arguments: str, stderr: int) -> str:
    environment = os.environ | {
        "RECONCILER_RUN_DIR": str(run_dirs.run_dir),
        "RECONCILER_STATE_DIR": str(run_dirs.state_dir),
        "TERM": "xterm",
    }
    command = [sys.executable, "-m", "reconciler", *arguments]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, check=True
    )
    return done.stdout + (done.stderr or "")


def run_on_terminal(run_dirs: RunDirs, *arguments: str) -> tuple[str, str]:
    """Return standard output, and what a terminal on standard error was sent."""
    master, slave = pty.openpty()
    try:
        told = run_cli(run_dirs, *arguments, stderr=slave)
    finally:
        os.close(slave)
    shown = b""
    try:
        while chunk := os.read(master, 4096):
            shown += chunk
    except OSError:  # EIO: nobody has the other side open any more
        os.close(master)
    return told, shown.decode()


def start(engine: Engine, run_dirs: RunDirs, source: Path) -> None:
    write(source, "running")
    run_cli(run_dirs, "apply", str(source), stderr=subprocess.PIPE)
    while output(engine, "web") != ["up"]:
        os.sched_yield()


def test_on_a_terminal_long_work_is_shown_and_nothing_of_it_is_left(
    engine: Engine, run_dirs: RunDirs, source: Path
) -> None:
    start(engine, run_dirs, source)
    write(source, "stopped")
    told, shown = run_on_terminal(run_dirs, "apply", str(source))
    assert "stopped web" in told
    assert shown == "\r\x1b[K0/1 stop web ...\r\x1b[K"


def test_short_work_is_not_shown(engine: Engine, run_dirs: RunDirs, source: Path) -> None:
    (source / "web.yaml").write_text("command: [/bin/sleep, '1000']")
    _, shown = run_on_terminal(run_dirs, "apply", str(source))
    assert "create" not in shown


def test_destroy_shows_it_too(engine: Engine, run_dirs: RunDirs, source: Path) -> None:
    start(engine, run_dirs, source)
    _, shown = run_on_terminal(run_dirs, "destroy", "--all")
    assert shown == "\r\x1b[K0/1 destroy web ...\r\x1b[K"


def test_programs_see_nothing_of_it(engine: Engine, run_dirs: RunDirs, source: Path) -> None:
    start(engine, run_dirs, source)
    write(source, "stopped")
    _, shown = run_on_terminal(run_dirs, "apply", str(source), "--output", "json")
    assert "stop web" not in shown
    assert "\x1b" not in run_cli(run_dirs, "destroy", "--all", stderr=subprocess.PIPE)
