"""What a shutdown does with containers: each is stopped as its file says, before the scope ends.

The shutdown is a target of the test's own that conflicts with the units, as shutdown.target does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from reconciler.engine.dirs import unit_name
from tests.e2e.waiting import wait_until
from tests.guest.systemd.commands import (
    PATIENCE_S,
    await_container,
    is_alive,
    reconciler,
    run,
    shown,
)

RUN_DIR, STATE_DIR = "/run/down", "/var/lib/down"
DIRS = ("--run-dir", RUN_DIR, "--state-dir", STATE_DIR)
NAME = unit_name(RUN_DIR)
UNITS = f"{NAME}.service {NAME}-shutdown.service {NAME}-containers.scope"
# Deaf to the SIGTERM of a scope that ends: only its own signal has it say so.
SCRIPT = "trap 'sleep 2; echo drained; exit' INT; echo up; while :; do sleep 0.2; done"
SERVER = f'command: [/bin/sh, -c, "{SCRIPT}"]\nstop: {{signal: INT, grace: 2m}}\n'


@pytest.fixture
def source() -> Iterator[Path]:
    """Install a daemon of its own, with two containers."""
    made = Path("/etc/down")
    made.mkdir(exist_ok=True)
    (made / "db.yaml").write_text(SERVER)
    (made / "web.yaml").write_text(SERVER + "dependsOn: {db: started}\n")
    reconciler("install", str(made), *DIRS)
    yield made
    reconciler("destroy", "--all", *DIRS)
    reconciler("uninstall", *DIRS)


def _has_said(name: str, word: str) -> bool:
    path = Path(STATE_DIR, "logs", name, "log")
    return path.exists() and word in path.read_text()


def test_containers_are_stopped_as_their_files_say_before_their_scope_ends(source: Path) -> None:
    pids = [await_container(RUN_DIR, name) for name in ("db", "web")]
    for name in ("db", "web"):
        wait_until(partial(_has_said, name, "up"), f"{name} is up", PATIENCE_S)
    target = Path("/run/systemd/system/down.target")
    target.write_text(f"[Unit]\nConflicts={UNITS}\nAfter={UNITS}\n")
    try:
        run("systemctl", "daemon-reload")
        run("systemctl", "start", "down.target")
        assert all(_has_said(name, "drained") for name in ("db", "web"))
        assert not any(map(is_alive, pids))
        assert [shown(unit, "ActiveState") for unit in UNITS.split()] == ["inactive"] * 3
        assert shown(f"{NAME}-shutdown.service", "Result") == "success"
    finally:
        run("systemctl", "stop", "down.target")
        target.unlink()
        run("systemctl", "daemon-reload")


def test_nobody_stops_the_containers_by_hand_or_by_an_uninstall(source: Path) -> None:
    pid = await_container(RUN_DIR, "web")
    run("systemctl", "stop", f"{NAME}-shutdown.service", exits=4)
    assert is_alive(pid)
    assert "left running: 2 containers" in reconciler("uninstall", *DIRS)
    assert is_alive(pid)
