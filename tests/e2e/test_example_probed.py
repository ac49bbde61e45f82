"""examples/probed: a service with each kind of probe, as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RunDirs

pytestmark = pytest.mark.requires_root

EXAMPLE = Path(__file__).parents[2] / "examples/probed"


def reconciler(dirs: RunDirs, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *map(str, arguments)],
        env=os.environ | dirs.environ,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_it_becomes_ready_under_the_daemon_and_says_what_was_found(run_dirs: RunDirs) -> None:
    daemon = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "watch", str(EXAMPLE)],
        env=os.environ | run_dirs.environ,
        stderr=subprocess.DEVNULL,
    )
    try:
        done = reconciler(run_dirs, "wait", "web", "--for", "Ready", "--timeout", "60s")
        assert (done.returncode, done.stdout) == (0, "web is Ready\n")
        told = reconciler(run_dirs, "why", "web").stdout
        assert "probe     startup passes, for " in told
        assert "probe     readiness passes, for " in told
        facts = json.loads(reconciler(run_dirs, "why", "web", "--output", "json").stdout)
        assert [probe["kind"] for probe in facts["probes"]] == ["startup", "readiness", "liveness"]
        events = reconciler(run_dirs, "events").stdout
        assert "web: its readiness probe passes" in events
    finally:
        daemon.terminate()
        daemon.wait(30)
        reconciler(run_dirs, "destroy", "--all")
