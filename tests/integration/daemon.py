"""A `reconciler watch` as its own process, whose log can be awaited."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reconciler import Engine
from tests.conftest import RunDirs

SLEEP = 'command: [sleep, "1000"]\n'
PATIENCE_S = 20.0

Record = dict[str, Any]


class Daemon:
    """A `reconciler watch` whose log can be awaited."""

    def __init__(
        self,
        dirs: RunDirs,
        source: Path,
        *options: str,
        program: Sequence[str] = (sys.executable,),
    ) -> None:
        self.process = subprocess.Popen(
            [
                *program,
                "-m",
                "reconciler",
                "watch",
                str(source),
                "--log-format",
                "json",
                *options,
            ],
            env=os.environ | dirs.environ,
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr is not None
        self._fd = self.process.stderr.fileno()
        self._rest = b""
        self.seen: list[Record] = []
        self._next = 0

    def await_record(self, wanted: Callable[[Record], bool]) -> Record:
        """Return the next record that is wanted; those before it are passed over."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            while self._next < len(self.seen):
                record = self.seen[self._next]
                self._next += 1
                if wanted(record):
                    return record
            assert select.select([self._fd], [], [], deadline - time.monotonic())[0], self.seen
            data = os.read(self._fd, 65536)
            assert data, (self.seen, self._rest)  # it has ended
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.seen += map(json.loads, lines)

    def await_action(self, action: str, name: str) -> Record:
        """Return the next record of a successful action."""
        return self.await_record(
            lambda one: (
                (one.get("action"), one.get("container"), one["level"]) == (action, name, "info")
            )
        )

    def await_message(self, text: str) -> Record:
        """Return the next record whose message has this text."""
        return self.await_record(lambda one: text in one["message"])

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


def pid_of(engine: Engine, name: str) -> int:
    record = engine.load(name).record
    assert record.init is not None
    return record.init.pid


def status_of(engine: Engine, name: str) -> str:
    return engine.load(name).status().value
