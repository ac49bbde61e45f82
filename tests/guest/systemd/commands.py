"""Commands of the tests with systemd, and what is asked of the system they run on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.waiting import wait_until

PATIENCE_S = 120.0  # an emulated machine is slow


def reconciler(*arguments: str, exits: int = 0) -> str:
    """Run a command of ours and return what it prints."""
    return run(sys.executable, "-m", "reconciler", *arguments, exits=exits)


def run(*command: str, exits: int = 0) -> str:
    """Run a command, which must end so, and return what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == exits, (command, done.stdout, done.stderr)
    return done.stdout


def shown(unit: str, name: str, *, is_user: bool = False) -> str:
    """Return a property of a unit."""
    user = ["--user"] if is_user else []
    return run("systemctl", *user, "show", "--value", "-p", name, unit).strip()


def await_property(unit: str, name: str, value: str, *, is_user: bool = False) -> None:
    """Wait until a property of a unit has a value."""
    wait_until(lambda: shown(unit, name, is_user=is_user) == value, f"{name} {value}", PATIENCE_S)


def pid_of(run_dir: str, name: str) -> int:
    """Return the pid of a container's init as the monitor has noted it, 0 when it does not run."""
    path = Path(run_dir, "containers", name, "run.json")
    note: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"exit": "none"}
    return 0 if note["exit"] else int(note["pid"])


def await_container(run_dir: str, name: str) -> int:
    """Wait until a container runs and return its pid."""
    return wait_until(lambda: pid_of(run_dir, name), f"{name} runs", PATIENCE_S)


def is_alive(pid: int) -> bool:
    """Tell whether a process lives and is no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
