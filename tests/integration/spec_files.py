"""The command line on a directory with one spec, for tests of single fields."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from reconciler import Engine

SLEEP = "command: [/bin/sleep, '1000']\n"


class Reconciler:
    """Calls the command line for an engine; its spec files are in `source`."""

    def __init__(self, engine: Engine, source: Path) -> None:
        self.engine = engine
        self.source = source
        self._places = ["--run-dir", engine.run_dir, "--state-dir", engine.state_dir]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        if words[0] in ("apply", "plan", "status", "validate", "drift"):
            words = (*words, str(self.source))
        command = [sys.executable, "-m", "reconciler", *self._places, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def write(self, fields: str, *, name: str = "web", command: str = SLEEP) -> None:
        """Write a spec."""
        (self.source / f"{name}.yaml").write_text(command + fields)

    def applied(self, fields: str) -> int:
        """Apply a spec, after which there is nothing to do; return the pid of the init."""
        self.write(fields)
        done = self("apply")
        assert done.returncode == 0, done.stdout + done.stderr
        plan = self("plan", "--detailed-exitcode")
        assert plan.returncode == 0, plan.stdout + plan.stderr
        return self.pid()

    def refused(self, fields: str) -> str:
        """Apply a spec that fails; return what is told."""
        self.write(fields)
        done = self("apply")
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stdout + done.stderr

    def pid(self) -> int:
        """Return the pid of the init."""
        init = self.engine.load("web").record.init
        assert init is not None
        return init.pid

    def inside(self, *command: str) -> str:
        """Run a command in the container and return what it says."""
        done = self("exec", "web", "--", *command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
