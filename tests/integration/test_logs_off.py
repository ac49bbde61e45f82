"""`logs: none`: output goes nowhere, nothing is made for it, and asking for it says so."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.model.config import LogLimits, Security
from tests.contract.cgroup_cell import eventually
from tests.integration.conftest import in_root, output, shell
from tests.integration.test_monitor import kill_monitor

pytestmark = pytest.mark.requires_root

OFF = LogLimits(is_kept=False)


def streams(engine: Engine, name: str) -> set[str]:
    return {"stdout", "stderr"} & set(os.listdir(engine.store.directory(name)))


def has_log(engine: Engine, name: str) -> bool:
    return Path(engine.state_dir, "logs", name).exists()


def test_output_is_thrown_away_and_there_is_neither_fifo_nor_file(engine: Engine) -> None:
    script = (
        "for n in 1 2 3; do head -c 1000000 /dev/zero || exit 9; echo oops >&2 || exit 8; done; "
        'for fd in 0 1 2; do [ "$(readlink /proc/$$/fd/$fd)" = /dev/null ] || exit 7; done'
    )
    container = engine.create("quiet", shell(script, logs=OFF))
    container.start()
    exit_status = container.wait(30)
    assert exit_status is not None
    assert exit_status.code == 0
    assert streams(engine, "quiet") == set()
    assert not has_log(engine, "quiet")


def test_the_user_can_reopen_its_streams(engine: Engine, rootfs: Path) -> None:
    script = "echo again > /dev/stdout || exit 7; echo again > /dev/stderr || exit 8"
    config = in_root(rootfs, script, logs=OFF, user="1500:1600", security=Security())
    container = engine.create("quiet", config)
    container.start()
    exit_status = container.wait(30)
    assert exit_status is not None
    assert exit_status.code == 0


def test_the_hosts_null_device_keeps_its_owner(engine: Engine) -> None:
    before = os.stat("/dev/null")
    container = engine.create("quiet", shell("echo hi", user="1500:1600", logs=OFF))
    container.start()
    assert container.wait(30) is not None
    after = os.stat("/dev/null")
    assert (after.st_uid, after.st_gid, after.st_mode) == (
        before.st_uid,
        before.st_gid,
        before.st_mode,
    )


def test_logs_can_be_turned_on_and_off_between_runs(engine: Engine) -> None:
    container = engine.create("web", shell("echo first", logs=OFF))
    container.start()
    assert container.wait(30) is not None
    container.reconfigure(shell("echo second"))
    container.start()
    assert container.wait(30) is not None
    assert output(engine, "web") == ["second"]
    container.reconfigure(shell("echo third", logs=OFF))
    container.start()
    assert container.wait(30) is not None
    assert output(engine, "web") == ["second"]


def test_a_new_monitor_adopts_a_container_without_logs(engine: Engine) -> None:
    container = engine.create("quiet", shell("while :; do echo line; sleep 0.02; done", logs=OFF))
    container.start()
    first = kill_monitor(engine)
    assert int(engine.monitor.ping()["pid"]) != first
    container.signal(signal.SIGKILL)
    exit_status = container.wait(30)
    assert exit_status is not None
    assert not has_log(engine, "quiet")


def test_a_run_file_of_an_older_version_is_adopted_with_its_logs(engine: Engine) -> None:
    script = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.02; done"
    container = engine.create("old", shell(script))
    container.start()
    kill_monitor(engine)
    path = Path(engine.store.directory("old"), "run.json")
    run = json.loads(path.read_text())
    del run["logStreams"]
    path.write_text(json.dumps(run))
    seen = len(output(engine, "old"))
    engine.monitor.ping()
    assert eventually(lambda: len(output(engine, "old")) > seen + 2)
    container.signal(signal.SIGKILL)
    assert container.wait(30) is not None
