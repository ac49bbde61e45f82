"""`reconciler doctor` on this host, on a broken one, and with things left over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import Config, Engine
from reconciler.model.config import MemoryLimits, Resources
from tests.conftest import RunDirs

pytestmark = pytest.mark.requires_root

Items = dict[str, dict[str, str]]


def doctor(
    run_dirs: RunDirs, *arguments: str, exits: int = 0, before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-m", "reconciler", "doctor", *arguments]
    environ = os.environ | run_dirs.environ
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == exits, (done.stdout, done.stderr)
    assert done.stderr == ""
    return done


def checks(
    run_dirs: RunDirs, *arguments: str, exits: int = 0, before: tuple[str, ...] = ()
) -> Items:
    done = doctor(run_dirs, *arguments, "--output", "json", exits=exits, before=before)
    return {item["name"]: item for item in json.loads(done.stdout)["items"]}


def test_a_host_that_runs_containers_fails_at_nothing(run_dirs: RunDirs, engine: Engine) -> None:
    engine.create("c1", Config(command=("sleep", "1000"))).start()
    items = checks(run_dirs)
    assert {item["status"] for item in items.values()} <= {"OK", "WARN"}
    for name in ("kernel", "seccomp", "net namespace", "cgroups", "resources.memory.max"):
        assert items[name]["status"] == "OK"
    assert items["monitor"]["found"] == "serves 1 running container"
    assert all(item["remedy"] for item in items.values() if item["status"] != "OK")


def test_a_field_is_warned_of_when_and_only_when_the_engine_refuses_it(
    run_dirs: RunDirs, engine: Engine
) -> None:
    resources = Resources(memory=MemoryLimits(high_bytes=2**26))
    is_refused = bool(engine.driver.unsupported(resources))
    item = checks(run_dirs)["resources.memory.high"]
    assert (item["status"] == "WARN") == is_refused


def test_the_table_ends_with_what_mends_it(run_dirs: RunDirs, engine: Engine) -> None:
    lines = doctor(run_dirs).stdout.splitlines()
    assert lines[0].split() == ["STATUS", "CHECK", "FOUND"]
    warnings = [line for line in lines if line.startswith("WARN  ")]
    assert sum("to mend it: " in line for line in lines) == len(warnings)


@pytest.mark.requires_command("setpriv")
def test_without_privileges_it_fails_and_says_what_is_missing(
    run_dirs: RunDirs, engine: Engine
) -> None:
    items = checks(run_dirs, exits=1, before=("setpriv", "--bounding-set", "-sys_admin"))
    assert items["capabilities"]["status"] == "FAIL"
    assert items["capabilities"]["found"] == "without SYS_ADMIN"
    assert items["net namespace"]["status"] == "FAIL"
    assert "EPERM" in items["net namespace"]["found"]
    assert items["clone3, pidfd"]["status"] == "OK"


def test_a_run_directory_that_is_full_is_a_failure(run_dirs: RunDirs, tiny_disk: Path) -> None:
    (tiny_disk / "fill").write_bytes(b"x" * 100_000)
    item = checks(run_dirs, "--run-dir", str(tiny_disk), exits=1)["run directory"]
    assert item["status"] == "FAIL"
    assert "--run-dir" in item["remedy"]


def test_a_cgroup_without_a_record_is_found_with_the_command_that_removes_it(
    run_dirs: RunDirs, engine: Engine
) -> None:
    path = next(iter(engine.handle("ghost").record.cgroups.values()))
    os.makedirs(path)
    try:
        item = checks(run_dirs)["left-over cgroup"]
        assert (item["status"], item["found"], item["remedy"]) == ("WARN", path, f"rmdir {path}")
        subprocess.run(item["remedy"].split(), check=True)
        assert checks(run_dirs)["left-over cgroups"]["status"] == "OK"
    finally:
        if os.path.isdir(path):
            os.rmdir(path)


def test_a_damaged_record_is_found(run_dirs: RunDirs, engine: Engine) -> None:
    engine.create("c1", Config(command=("sleep", "1000")))
    Path(engine.store.directory("c1"), "state.json").write_text("{")
    item = checks(run_dirs)["record of c1"]
    assert item["status"] == "WARN"
    assert "reconciler destroy c1" in item["remedy"]


def test_a_monitor_that_is_gone_is_told(run_dirs: RunDirs, engine: Engine) -> None:
    engine.create("c1", Config(command=("sleep", "1000"))).start()
    pidfd = os.pidfd_open(engine.monitor.ping()["pid"])
    os.kill(engine.monitor.ping()["pid"], 9)
    import select

    assert select.select([pidfd], [], [], 20)[0]
    os.close(pidfd)
    item = checks(run_dirs)["monitor"]
    assert item["status"] == "WARN"
    assert item["found"].startswith("dead, while 1 container still")
