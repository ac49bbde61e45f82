"""A container that takes its time to stop, and what tests with one ask."""

from __future__ import annotations

from pathlib import Path

from reconciler import Engine
from reconciler.model.state import ProcessId
from tests.e2e.waiting import wait_until

# Says when it has got the signal, and goes on.
SLOW = """\
command: [/bin/sh, -c, "trap 'echo draining' TERM; echo up; while :; do sleep 0.1; done"]
stop: {grace: 1h}
"""


def init_of(engine: Engine, name: str) -> ProcessId:
    init = engine.load(name).record.init
    assert init is not None
    return init


def await_line(engine: Engine, name: str, line: str) -> None:
    log = Path(engine.state_dir, "logs", name, "log")
    wait_until(lambda: log.exists() and line in log.read_text(), f"{name} says {line}")
