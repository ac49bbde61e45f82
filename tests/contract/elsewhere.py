"""Another process that destroys containers when it is told to; one for all tests of a run."""

from __future__ import annotations

import json
import subprocess
import sys

from reconciler import Engine

_PROGRAM = """
import json, sys
from reconciler import Engine
for line in sys.stdin:
    run_dir, state_dir, name = json.loads(line)
    Engine(run_dir=run_dir, state_dir=state_dir).load(name).destroy()
    print("destroyed", flush=True)
"""


class Elsewhere:
    """The process, once it was needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        """Have it run: an interpreter takes seconds to start in an emulated guest."""
        if self._process is None:
            words = [sys.executable, "-c", _PROGRAM]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)
        return self._process

    def destroy(self, engine: Engine, name: str) -> None:
        """Have it destroy a container, and wait until it has."""
        process = self.start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([engine.run_dir, engine.state_dir, name]) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "destroyed\n"

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


ELSEWHERE = Elsewhere()
