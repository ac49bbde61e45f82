"""What a real `reconciler watch` has to do at a certain time, which no event tells of.

The interval is an hour: only a timer can have woken it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.linux.clock import wall_s
from reconciler.model.moment import format_time
from tests.integration.daemon import SLEEP, Daemon, status_of

pytestmark = pytest.mark.requires_root

Watch = Callable[..., Daemon]


def test_it_wakes_at_a_job_s_deadline(watch: Watch, engine: Engine, source: Path) -> None:
    (source / "job.yaml").write_text(
        "kind: Job\ncommand: [sleep, '1000']\ndeadline: 1s\n"
        "stop: {signal: KILL}\nrestart: {policy: never}\n"
    )
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "job")
    stopped = daemon.await_action("stop", "job")
    assert "deadline of 1s" in stopped["reason"]
    assert status_of(engine, "job") == "stopped"


def test_it_wakes_at_the_end_of_a_suspension_in_a_spec(
    watch: Watch, engine: Engine, source: Path
) -> None:
    (source / "web.yaml").write_text(SLEEP)
    daemon = watch("--interval", "1h", "--debug")
    daemon.await_action("create", "web")
    until = format_time(wall_s() + 2)
    (source / "web.yaml").write_text(SLEEP + f"suspend: {{until: '{until}'}}\n")
    daemon.await_message("pass: files changed")
    engine.load("web").pause()
    daemon.await_action("resume", "web")
    assert format_time(wall_s()) >= until


def test_it_wakes_when_a_backoff_is_over(watch: Watch, source: Path) -> None:
    (source / "web.yaml").write_text(
        "command: [sh, -c, 'exit 1']\nrestart: {policy: on-failure, backoff: {initial: 1s}}\n"
    )
    daemon = watch("--interval", "1h", "--debug")
    daemon.await_action("create", "web")
    daemon.await_message("pass: backoff elapsed")
    daemon.await_action("start", "web")
