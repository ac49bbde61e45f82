"""The command line in this process: to start an interpreter takes the emulated machine seconds."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from reconciler.cli.main import main
from tests.conftest import RunDirs


class CommandLine:
    """`reconciler VERB ...` with directories of its own."""

    def __init__(self, dirs: RunDirs) -> None:
        self.options = ("--run-dir", str(dirs.run_dir), "--state-dir", str(dirs.state_dir))

    def run(self, verb: str, *words: str, exits: int = 0) -> str:
        """Run it, check its exit code, and return what it printed."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*self.options, verb, *words])
        assert code == exits, f"{verb} {words}: {code}\n{out.getvalue()}{err.getvalue()}"
        return out.getvalue()

    def items(self, *words: str) -> dict[str, Any]:
        """Return the items of `status` by name."""
        found = json.loads(self.run("status", "--output", "json", *words))
        return {item["name"]: item for item in found["items"]}
