"""An ordinary user with a delegated cgroup, end to end: limits, status, exec, stop, OCI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.oci.verbs.spec import make_spec
from tests.conftest import RunDirs
from tests.contract.cgroup_cell import eventually
from tests.guest.command_line import CommandLine
from tests.integration.conftest import rootfs  # noqa: F401 - a fixture

TREE = Path(__file__).parents[3]
DELEGATED = Path("/sys/fs/cgroup/delegated")
WEB = """\
command: [sh, -c, "trap 'exit 0' TERM; echo up; while :; do sleep 1; done"]
resources:
  memory: {max: 64Mi, high: 48Mi, swap: "0"}
  pids: {max: 20}
  cpu: {max: 800m, weight: 50, cpus: "0"}
  io: {max: [{device: /dev/vda, readBytes: 1Mi}]}
"""
WRITTEN = {
    "memory.max": str(64 << 20),
    "memory.high": str(48 << 20),
    "memory.swap.max": "0",
    "pids.max": "20",
    "cpu.max": "80000 100000",
    "cpu.weight": "50",
    "cpuset.cpus": "0",
    "io.max": "254:0 rbps=1048576 wbps=max riops=max wiops=max",
}


@pytest.fixture
def line(run_dirs: RunDirs) -> Iterator[CommandLine]:
    made = CommandLine(run_dirs)
    yield made
    made.run("destroy", "--all")


def cgroup_of(line: CommandLine, name: str) -> Path:
    shown = json.loads(line.run("show", name, "--output", "json"))
    return Path(shown["cgroups"]["unified"])


def test_a_container_is_limited_seen_entered_changed_stopped_and_destroyed(
    line: CommandLine, tmp_path: Path
) -> None:
    spec = tmp_path / "web.yaml"
    spec.write_text(WEB)
    line.run("apply", str(tmp_path))
    cgroup = cgroup_of(line, "web")
    assert cgroup.is_relative_to(DELEGATED)
    assert {name: (cgroup / name).read_text().strip() for name in WRITTEN} == WRITTEN
    assert line.items()["web"]["state"] == "running"
    line.run("plan", "--detailed-exitcode", str(tmp_path))
    spec.write_text(WEB.replace("64Mi", "96Mi"))
    assert "(live)" in line.run("plan", str(tmp_path))
    line.run("apply", str(tmp_path))
    assert (cgroup / "memory.max").read_text().strip() == str(96 << 20)
    spec.write_text(WEB.replace("64Mi", "96Mi") + "state: stopped\n")
    line.run("apply", str(tmp_path))
    item = line.items()["web"]
    assert (item["state"], item["lastExit"]["code"]) == ("stopped", 0)
    line.run("destroy", "web")
    assert not cgroup.exists()


def test_a_process_that_is_entered_is_in_its_cgroup_with_subordinate_ids(
    line: CommandLine, tmp_path: Path, run_dirs: RunDirs
) -> None:
    (tmp_path / "web.yaml").write_text("command: [sleep, '1000']\nuser: '1000'\n")
    line.run("apply", str(tmp_path))
    words = ["exec", "web", "--", "cat", "/proc/self/uid_map", "/proc/self/cgroup"]
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", *line.options, *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=TREE,
    )
    rows = done.stdout.split()
    assert rows == ["0", str(os.getuid()), "1", "1", "150000", "65536", "0::/"]
    (pid,) = (cgroup_of(line, "web") / "cgroup.procs").read_text().split()
    assert Path(f"/proc/{pid}").stat().st_uid == 150000 + 999


def test_an_oom_kill_is_told_in_the_status(line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "hog.yaml").write_text(
        "kind: Job\ncommand: [tail, /dev/zero]\nresources: {memory: {max: 16Mi}}\n"
        "restart: {policy: never}\n"
    )
    line.run("apply", str(tmp_path))
    assert eventually(lambda: line.items()["hog"]["state"] == "failed")
    assert line.items()["hog"]["lastExit"]["oom"] is True


def test_it_is_paused_resumed_and_measured(line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("command: [sleep, '1000']\n")
    line.run("apply", str(tmp_path))
    cgroup = cgroup_of(line, "web")
    line.run("pause", "web")
    assert eventually(lambda: "frozen 1" in (cgroup / "cgroup.events").read_text())
    line.run("resume", "web")
    assert eventually(lambda: "frozen 0" in (cgroup / "cgroup.events").read_text())
    engine = Engine(run_dir=line.options[1], state_dir=line.options[3])
    assert engine.load("web").stats().memory.usage_bytes > 0


def test_it_is_ready_when_its_port_in_its_own_network_answers(
    line: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "web.yaml").write_text(
        "command: [busybox, httpd, -f, -p, '8080', -h, /usr/share/doc]\n"
        "probes: {readiness: {tcp: {port: 8080}, interval: 1s}}\n"
    )
    (tmp_path / "after.yaml").write_text("command: [sleep, '1000']\ndependsOn: {web: ready}\n")
    line.run("apply", "--wait", "60s", str(tmp_path))
    assert line.items(str(tmp_path))["after"]["state"] == "running"


def test_doctor_fails_at_nothing_and_knows_the_ids_and_the_cgroup(line: CommandLine) -> None:
    items = json.loads(line.run("doctor", "--output", "json"))["items"]
    by_name = {item["name"]: item for item in items}
    assert [item for item in items if item["status"] == "FAIL"] == []
    assert by_name["subuid"]["found"] == "65536 ids from 150000 on"
    assert by_name["cgroups"]["found"] == f"v2, below {DELEGATED}"
    assert by_name["resources.memory.max"]["status"] == "OK"


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_bundle_is_run_by_the_oci_command_line(
    is_sealed: bool,
    tmp_path: Path,
    rootfs: Path,  # noqa: F811
) -> None:
    spec = make_spec(is_rootless=True)
    script = "cat /proc/self/cgroup; id -u; exit 7"
    spec["process"] |= {"args": ["sh", "-c", script], "terminal": False}
    spec["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 30}}
    (tmp_path / "config.json").write_text(json.dumps(spec))
    boot = "import sys; sys.path.insert(0, sys.argv.pop(1)); from reconciler.oci.main import main; "
    boot += "sys.exit(main())"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if is_sealed:  # see `oci.sealing`
        environment["PYTHONPATH"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", boot, str(TREE), "--root", str(tmp_path / "root"), "run", "box"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert (done.returncode, done.stdout.split()) == (7, ["0::/", "0"]), done.stderr
    shutil.rmtree(tmp_path / "root", ignore_errors=True)
