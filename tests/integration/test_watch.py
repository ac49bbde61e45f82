"""`reconciler watch` as its own process: files, exits, signals, a monitor that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import Engine
from tests.conftest import RunDirs
from tests.integration.daemon import SLEEP, Daemon, pid_of, status_of

pytestmark = pytest.mark.requires_root


def test_a_file_that_is_dropped_in_runs_edited_is_updated_and_removed_is_destroyed(
    watch: Callable[..., Daemon], engine: Engine, source: Path
) -> None:
    daemon = watch("--interval", "1h")
    (source / "web.yaml").write_text(SLEEP)
    daemon.await_action("create", "web")
    pid = pid_of(engine, "web")
    (source / "web.yaml").write_text(SLEEP + "resources: {pids: {max: 77}}\n")
    assert daemon.await_action("update", "web")["fields"] == ["resources.pids.max"]
    assert pid_of(engine, "web") == pid
    assert engine.load("web").limits()["resources.pids.max"] == 77
    (source / "web.yaml").unlink()
    (source / "other.yaml").write_text(SLEEP)
    daemon.await_action("destroy", "web")
    daemon.await_action("create", "other")
    assert engine.store.ids() == ["other"]


def test_files_that_a_running_pass_did_not_see_are_taken_by_the_next(
    watch: Callable[..., Daemon], source: Path
) -> None:
    daemon = watch("--interval", "1h", "--settle", "1ms")
    for number in range(10):
        (source / f"c{number}.yaml").write_text('command: [sleep, "1000"]\n')
    awaited = {f"c{number}" for number in range(10)}
    while awaited:
        record = daemon.await_record(lambda one: one.get("action") == "create")
        awaited.discard(record["container"])


def test_a_killed_init_is_started_again_after_its_backoff(
    watch: Callable[..., Daemon], engine: Engine, source: Path
) -> None:
    (source / "web.yaml").write_text(
        SLEEP + "restart: {policy: always, backoff: {initial: 10ms}}\n"
    )
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "web")
    pid = pid_of(engine, "web")
    os.kill(pid, signal.SIGKILL)
    assert "killed by signal 9" in daemon.await_message("web ended")["message"]
    daemon.await_action("start", "web")
    assert pid_of(engine, "web") != pid
    assert status_of(engine, "web") == "running"


def test_sigterm_leaves_containers_running_and_apply_finds_nothing_to_do(
    watch: Callable[..., Daemon], engine: Engine, source: Path, run_dirs: RunDirs
) -> None:
    (source / "web.yaml").write_text(SLEEP)
    daemon = watch()
    daemon.await_action("create", "web")
    pid = pid_of(engine, "web")
    assert daemon.end(signal.SIGTERM) == 0
    assert status_of(engine, "web") == "running"
    applied = subprocess.run(
        [sys.executable, "-m", "reconciler", "apply", str(source), "--output", "json"],
        env=os.environ | run_dirs.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not any(json.loads(applied.stdout).values())
    assert pid_of(engine, "web") == pid


def test_sigint_ends_it_too_and_sighup_looks_at_once(
    watch: Callable[..., Daemon], engine: Engine, source: Path
) -> None:
    (source / "web.yaml").write_text(SLEEP)
    daemon = watch("--interval", "1h", "--debug")
    daemon.await_action("create", "web")
    engine.load("web").pause()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.await_action("resume", "web")
    assert daemon.end(signal.SIGINT) == 0


def test_drift_is_mended_with_the_periodic_pass(
    watch: Callable[..., Daemon], engine: Engine, source: Path
) -> None:
    (source / "web.yaml").write_text(SLEEP)
    daemon = watch("--interval", "100ms")
    daemon.await_action("create", "web")
    engine.load("web").pause()
    daemon.await_action("resume", "web")


def test_a_source_that_does_not_exist_yet_is_watched_for(
    watch: Callable[..., Daemon], source: Path
) -> None:
    source.rmdir()
    daemon = watch("--interval", "1h")
    assert daemon.await_record(lambda one: one.get("code") == 110)["name"] == "SourceMissing"
    source.mkdir()
    (source / "web.yaml").write_text(SLEEP)
    daemon.await_action("create", "web")


def test_a_source_that_vanishes_destroys_nothing_and_its_return_is_noticed(
    watch: Callable[..., Daemon], engine: Engine, source: Path
) -> None:
    (source / "web.yaml").write_text(SLEEP)
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "web")
    source.rename(source.with_name("away"))
    daemon.await_record(lambda one: one.get("code") == 110)
    assert status_of(engine, "web") == "running"
    source.mkdir()
    (source / "web.yaml").write_text(SLEEP)
    (source / "two.yaml").write_text(SLEEP)
    daemon.await_action("create", "two")
    assert engine.store.ids() == ["two", "web"]


def test_an_invalid_file_is_told_once_with_its_place_and_the_container_stays(
    watch: Callable[..., Daemon], engine: Engine, source: Path
) -> None:
    (source / "web.yaml").write_text(SLEEP)
    daemon = watch("--interval", "50ms")
    daemon.await_action("create", "web")
    pid = pid_of(engine, "web")
    (source / ".web.new").write_text("command: [\n")
    (source / ".web.new").rename(source / "web.yaml")
    told = daemon.await_record(lambda one: one.get("code") == 101)
    assert told.keys() >= {"name", "container", "operation", "step", "errno", "path", "file"}
    assert told["file"] == str(source / "web.yaml")
    assert told["line"] >= 1
    (source / ".web.new").write_text(SLEEP)
    (source / ".web.new").rename(source / "web.yaml")  # or a pass may meet it half-written
    daemon.await_message("no problems any more")
    assert sum(one.get("code") == 101 for one in daemon.seen) == 1
    assert pid_of(engine, "web") == pid


def test_a_killed_monitor_is_replaced_and_exits_are_seen_again(
    watch: Callable[..., Daemon], engine: Engine, source: Path
) -> None:
    (source / "web.yaml").write_text(
        SLEEP + "restart: {policy: always, backoff: {initial: 10ms}}\n"
    )
    daemon = watch("--interval", "1h")
    daemon.await_action("create", "web")
    pid = pid_of(engine, "web")
    os.kill(engine.monitor.ping()["pid"], signal.SIGKILL)
    assert daemon.await_record(lambda one: one.get("code") == 40)["name"] == "MonitorLost"
    assert pid_of(engine, "web") == pid
    os.kill(pid, signal.SIGKILL)
    daemon.await_action("start", "web")
    assert pid_of(engine, "web") != pid


def test_it_waits_while_another_reconciler_holds_the_lock(
    watch: Callable[..., Daemon], engine: Engine, source: Path
) -> None:
    daemon = watch("--interval", "1h", "--debug")
    with engine.lock(5):
        (source / "web.yaml").write_text(SLEEP)
        daemon.await_message("cannot get the lock")
        assert engine.store.ids() == []
    daemon.await_action("create", "web")
