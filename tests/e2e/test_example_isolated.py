"""The example with isolation of its own, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import RunDirs
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.requires_root

EXAMPLE = Path(__file__).parents[2] / "examples/isolated"


@pytest.fixture
def announced(tmp_path: Path) -> Path:
    return tmp_path / "announced"


@pytest.fixture
def environ(run_dirs: RunDirs, announced: Path) -> Iterator[dict[str, str]]:
    made = os.environ | run_dirs.environ | {"ANNOUNCE_FILE": str(announced)}
    yield made
    run("destroy", "--all", environ=made)


def run(*words: str, environ: dict[str, str]) -> str:
    command = [sys.executable, "-m", "reconciler", *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_isolated_example_is_as_it_says(environ: dict[str, str], announced: Path) -> None:
    assert run("apply", str(EXAMPLE), environ=environ).startswith("created worker")
    state = json.loads(announced.read_text())
    assert (state["status"], state["annotations"]) == ("running", {"org.example.zone": "dmz"})
    pid = state["pid"]
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    assert os.sched_getaffinity(pid) == {0}
    status = Path(f"/proc/{pid}/status").read_text()
    assert "Seccomp:\t2\n" in status
    up = float(run("exec", "worker", "--", "cat", "/proc/uptime", environ=environ).split()[0])
    assert up > 720 * 3600
    wait_until(
        lambda: "refused by the profile" in run("logs", "worker", environ=environ),
        "the command's output",
    )
    assert run("plan", str(EXAMPLE), environ=environ).startswith("nothing to do")
