"""The units on a system whose process 1 is systemd: one installation, one test after the other.

Containers run on through all of it: `web` is started by the first test and is the same process
in the last.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.waiting import wait_until
from tests.guest.systemd.commands import (
    PATIENCE_S,
    await_container,
    await_property,
    is_alive,
    reconciler,
    run,
    shown,
)

RUN_DIR = "/run/reconciler"
SOURCE = Path("/etc/reconciler")
SCOPE = "/system.slice/reconciler-containers.scope"
DAEMON, MONITOR = "reconciler.service", "reconciler-monitor.service"
SLEEP = 'command: [sleep, "1000000"]\n'


@pytest.fixture(scope="module")
def web() -> int:
    """Return the pid of a container of the daemon that `install` has started."""
    SOURCE.mkdir(exist_ok=True)
    (SOURCE / "web.yaml").write_text(f"{SLEEP}resources: {{memory: {{max: 64Mi}}}}\n")
    reconciler("install")
    return await_container(RUN_DIR, "web")


def test_the_daemon_is_ready_and_says_how_it_is(web: int) -> None:
    await_property(DAEMON, "ActiveState", "active")
    assert shown(DAEMON, "StatusText") == "1 container: 1 running"
    assert shown(DAEMON, "WatchdogUSec") == "3min"


def test_containers_are_in_a_scope_of_their_own_with_their_limits(web: int) -> None:
    assert Path(f"/proc/{web}/cgroup").read_text() == f"0::{SCOPE}/reconciler/web\n"
    assert Path(f"/sys/fs/cgroup{SCOPE}/reconciler/web/memory.max").read_text() == "67108864\n"
    assert Path(f"/sys/fs/cgroup{SCOPE}/pids.max").read_text() == "max\n"
    assert shown("reconciler-containers.scope", "Delegate") == "yes"


def test_the_daemon_is_confined_and_the_monitor_sees_the_host(web: int) -> None:
    daemon, monitor = (shown(unit, "MainPID") for unit in (DAEMON, MONITOR))
    host = os.readlink("/proc/1/ns/mnt")
    assert os.readlink(f"/proc/{monitor}/ns/mnt") == host
    assert os.readlink(f"/proc/{daemon}/ns/mnt") != host
    assert "NoNewPrivs:\t1" in Path(f"/proc/{daemon}/status").read_text()
    assert "NoNewPrivs:\t0" in Path(f"/proc/{monitor}/status").read_text()
    assert os.readlink(f"/proc/{monitor}/exe").startswith("/memfd:")


def test_containers_survive_a_restart_and_a_stop_of_the_daemon(web: int) -> None:
    before = shown(DAEMON, "MainPID")
    run("systemctl", "restart", DAEMON)
    assert shown(DAEMON, "MainPID") != before
    assert is_alive(web)
    run("systemctl", "stop", DAEMON)
    assert shown(DAEMON, "Result") == "success"
    assert is_alive(web)
    run("systemctl", "start", DAEMON)
    assert await_container(RUN_DIR, "web") == web


def test_containers_survive_a_restart_and_a_kill_of_the_monitor(web: int) -> None:
    before = shown(MONITOR, "MainPID")
    run("systemctl", "restart", MONITOR)
    assert shown(MONITOR, "MainPID") not in ("0", before)
    assert is_alive(web)
    killed = shown(MONITOR, "MainPID")
    run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", MONITOR)
    wait_until(lambda: shown(MONITOR, "MainPID") not in ("0", killed), "a new one", PATIENCE_S)
    await_property(MONITOR, "ActiveState", "active")
    assert is_alive(web)
    assert json.loads(reconciler("status", "--output", "json"))["items"][0]["pid"] == web


@pytest.mark.slow
def test_the_socket_can_be_restarted_with_all_that_needs_it(web: int) -> None:
    run("systemctl", "restart", "reconciler-monitor.socket")
    assert is_alive(web)
    await_property(DAEMON, "ActiveState", "active")


@pytest.mark.slow
def test_limits_outlive_a_reload_of_systemd(web: int) -> None:
    run("systemctl", "daemon-reload")
    run("systemctl", "daemon-reexec")
    await_property(DAEMON, "ActiveState", "active")
    assert Path(f"/sys/fs/cgroup{SCOPE}/reconciler/web/memory.max").read_text() == "67108864\n"
    assert is_alive(web)


def test_a_reload_takes_changed_files_and_ends(web: int) -> None:
    (SOURCE / "second.yaml").write_text(SLEEP)
    run("systemctl", "reload", DAEMON)
    await_container(RUN_DIR, "second")
    await_property(DAEMON, "ActiveState", "active")


def test_the_journal_has_structured_records(web: int) -> None:
    (SOURCE / "broken.yaml").write_text("command: [/no/such/command]\n")

    def records(*matches: str) -> list[dict[str, str]]:
        lines = run("journalctl", "-o", "json", "--no-pager", *matches).splitlines()
        return [json.loads(line) for line in lines]

    def failures() -> list[dict[str, str]]:
        return records("RECONCILER_CODE=30", "RECONCILER_CONTAINER=broken")

    failure = wait_until(failures, "the failure is in the journal", PATIENCE_S)[0]
    (SOURCE / "broken.yaml").unlink()
    assert failure["PRIORITY"] == "3"
    assert failure["RECONCILER_NAME"] == "CommandNotFound"
    assert failure["RECONCILER_ACTION"] == "create"
    assert failure["SYSLOG_IDENTIFIER"] == "reconciler"
    assert failure["_SYSTEMD_UNIT"] == DAEMON
    created = records("RECONCILER_ACTION=create", "RECONCILER_CONTAINER=web", "PRIORITY=6")
    assert created[0]["MESSAGE"] == "create web"


@pytest.mark.slow
def test_a_daemon_that_hangs_is_replaced_by_the_watchdog(web: int) -> None:
    drop_in = Path(f"/etc/systemd/system/{DAEMON}.d/watchdog.conf")
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nWatchdogSec=6\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", DAEMON)
    hung = int(shown(DAEMON, "MainPID"))
    os.kill(hung, signal.SIGSTOP)
    wait_until(lambda: shown(DAEMON, "MainPID") not in ("0", str(hung)), "another", PATIENCE_S)
    assert int(shown(DAEMON, "NRestarts")) > 0
    assert is_alive(web)
    drop_in.unlink()
    drop_in.parent.rmdir()
    run("systemctl", "daemon-reload")


@pytest.mark.slow
def test_an_upgrade_rewrites_the_units_and_containers_survive(web: int) -> None:
    unit = Path("/etc/systemd/system", DAEMON)
    before = shown(DAEMON, "MainPID")
    text = reconciler("install", "/etc/reconciler", "--output", "json")
    changes = {one["name"]: one["change"] for one in json.loads(text)["items"]}
    assert changes[DAEMON] == "rewritten"
    assert "reconciler install /etc/reconciler" in unit.read_text()
    assert shown(DAEMON, "MainPID") != before
    assert is_alive(web)


def test_doctor_finds_units_that_are_current_and_up(web: int) -> None:
    text = reconciler("doctor", "--output", "json")
    checks = {one["name"]: one for one in json.loads(text)["items"]}
    assert checks["unit files"]["status"] == "OK"
    assert checks[DAEMON]["found"] == "active"
    assert checks["reconciler-monitor.socket"]["status"] == "OK"


def test_containers_survive_the_end_of_a_timers_run(web: int) -> None:
    (SOURCE / "third.yaml").write_text(SLEEP)
    reconciler("install", "--timer", "--every", "1h")
    third = await_container(RUN_DIR, "third")
    await_property("reconciler-apply.service", "ActiveState", "inactive")
    assert shown("reconciler-apply.service", "Result") == "success"
    assert Path(f"/proc/{third}/cgroup").read_text() == f"0::{SCOPE}/reconciler/third\n"
    assert is_alive(third)
    assert is_alive(web)
    assert not Path("/etc/systemd/system", DAEMON).exists()
    assert shown("reconciler-apply.timer", "ActiveState") == "active"


@pytest.mark.slow
def test_a_scope_that_somebody_has_ended_is_made_anew() -> None:
    run("systemctl", "stop", "reconciler-containers.scope")
    reconciler("apply")
    again = await_container(RUN_DIR, "web")
    assert Path(f"/proc/{again}/cgroup").read_text() == f"0::{SCOPE}/reconciler/web\n"
    assert shown("reconciler-containers.scope", "ActiveState") == "active"


def test_uninstall_removes_the_units_and_leaves_containers_running() -> None:
    pid = await_container(RUN_DIR, "web")
    text = reconciler("uninstall")
    assert "left running: 3 containers" in text
    assert is_alive(pid)
    assert not list(Path("/etc/systemd/system").glob("reconciler*.s*"))
    reconciler("destroy", "--all")
    assert not is_alive(pid)
    assert "nothing to remove" in reconciler("uninstall")
