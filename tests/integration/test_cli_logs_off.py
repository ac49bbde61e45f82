"""`reconciler logs` of a container whose spec has `logs: none`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import Engine
from tests.conftest import RunDirs

pytestmark = pytest.mark.requires_root


def run(run_dirs: RunDirs, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *words],
        env={"PATH": "/usr/bin:/bin", **run_dirs.environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_logs_says_that_they_are_off_and_how_to_turn_them_on(
    run_dirs: RunDirs, engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "quiet.yaml"
    file.write_text('command: [sh, -c, "echo hi; sleep 1000"]\nlogs: none\n')
    applied = run(run_dirs, "apply", str(tmp_path))
    assert applied.returncode == 0, applied.stderr
    for words in (["logs", "quiet"], ["logs", "-f", "quiet"]):
        told = run(run_dirs, *words)
        assert told.returncode == 1
        assert told.stdout == ""
        assert "`logs: none`" in told.stderr
        assert "remove that from its file and apply it" in told.stderr
        assert "LogsOff" in told.stderr
    file.write_text('command: [sh, -c, "echo hi; sleep 1000"]\n')
    applied = run(run_dirs, "apply", str(tmp_path))
    assert applied.returncode == 0, applied.stderr
    assert run(run_dirs, "logs", "quiet").returncode == 0
