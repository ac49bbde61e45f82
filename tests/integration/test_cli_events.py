"""`events -f` beside a real `reconciler watch` that acts meanwhile."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.control.journal import FILE, MAX_BYTES, OLD_FILE
from tests.conftest import RunDirs
from tests.integration.daemon import PATIENCE_S, SLEEP, Daemon

pytestmark = pytest.mark.requires_root


class Following:
    """An `events -f` whose lines can be awaited."""

    def __init__(self, dirs: RunDirs, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "events", "-f", "--output", "json", *options],
            env=os.environ | dirs.environ,
            stdout=subprocess.PIPE,
        )
        self.seen: list[dict[str, Any]] = []
        self._rest = b""

    def await_event(self, name: str, target: str) -> None:
        """Read on until this event comes."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE_S
        while not any((one["name"], one["object"]) == (name, target) for one in self.seen):
            left = max(0.0, deadline - time.monotonic())
            assert select.select([self.process.stdout], [], [], left)[0], self.seen
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, self.seen  # it has ended
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.seen += map(json.loads, lines)

    def end(self) -> int:
        """Interrupt it as a terminal does, and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def follow(run_dirs: RunDirs) -> Iterator[Callable[..., Following]]:
    """Return a function that starts an `events -f`; it is ended after the test."""
    made: list[Following] = []

    def start(*options: str) -> Following:
        made.append(Following(run_dirs, *options))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.end()


def test_events_are_followed_live_and_through_two_rotations(
    watch: Callable[..., Daemon],
    follow: Callable[..., Following],
    run_dirs: RunDirs,
    source: Path,
) -> None:
    journal = run_dirs.state_dir / FILE
    daemon = watch("--interval", "1h")
    following = follow()
    only_web = follow("web")
    for name in ("one", "two", "web"):
        (source / f"{name}.yaml").write_text(SLEEP)
        daemon.await_action("create", name)
        following.await_event("create", name)
        fill(journal)  # so that the next event begins a new file
    only_web.await_event("create", "web")
    assert {one["object"] for one in only_web.seen} == {"web"}
    created = [one["object"] for one in following.seen if one["name"] == "create"]
    assert created == ["one", "two", "web"]
    assert (run_dirs.state_dir / OLD_FILE).exists()
    assert following.end() == 130


def fill(journal: Path) -> None:
    """Make the journal as large as it may be, with a line that is no event."""
    with journal.open("a") as stream:
        stream.write("#" * (MAX_BYTES - journal.stat().st_size - 1) + "\n")
