"""What looks at containers and changes their limits: list, ps, update, events, features, spec."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.oci.conftest import Oci, Spec, make_spec

pytestmark = pytest.mark.requires_root
WriteSpec = Callable[[Spec], None]


@pytest.fixture
def running(oci: Oci, write_spec: WriteSpec) -> str:
    """Return the id of a running container with limits."""
    spec = make_spec("sleep", "1000")
    spec["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 40}}
    write_spec(spec)
    oci.start_in_background("run", "-d", oci.id())
    return oci.id()


def _limits(oci: Oci, running: str) -> tuple[int, int]:
    stats = json.loads(oci.ok("events", "--stats", running))["data"]
    return stats["memory"]["usage"]["limit"], stats["pids"]["limit"]


def test_limits_of_the_config_are_in_force(oci: Oci, running: str) -> None:
    assert _limits(oci, running) == (64 << 20, 40)


def test_update_changes_what_is_given_and_keeps_the_rest(oci: Oci, running: str) -> None:
    oci.ok("update", "--memory", "32m", running)
    assert _limits(oci, running) == (32 << 20, 40)
    oci.ok("update", "--pids-limit", "20", running)
    assert _limits(oci, running) == (32 << 20, 20)


def test_update_reads_a_file_and_standard_input(oci: Oci, running: str, tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text('{"memory": {"limit": 33554432}}')
    oci.ok("update", "--resources", str(tmp_path / "limits.json"), running)
    assert _limits(oci, running)[0] == 32 << 20
    (tmp_path / "limits.json").write_text('{"pids": {"limit": 30}}')
    with open(tmp_path / "limits.json", encoding="utf-8") as given:
        oci.ok("update", "-r", "-", running, stdin=given)
    assert _limits(oci, running) == (32 << 20, 30)


def test_a_limit_below_what_is_in_use_is_refused_where_that_is_to_be_checked(
    oci: Oci, running: str, tmp_path: Path
) -> None:
    before = _limits(oci, running)
    checked = {"memory": {"limit": 4096, "checkBeforeUpdate": True}}
    (tmp_path / "limits.json").write_text(json.dumps(checked))
    refused = oci.run("update", "--resources", str(tmp_path / "limits.json"), running)
    assert refused.returncode == 1
    assert "more than the limit 4096 (checkBeforeUpdate)" in refused.stderr
    assert _limits(oci, running) == before


def test_list_shows_all_containers(oci: Oci, running: str) -> None:
    table = oci.ok("list").splitlines()
    assert table[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert table[1].split()[:3] == [running, str(oci.state(running)["pid"]), "running"]
    assert json.loads(oci.ok("list", "--format", "json"))[0]["id"] == running
    assert oci.ok("list", "-q") == f"{running}\n"


def test_ps_shows_the_processes(oci: Oci, running: str) -> None:
    pid = oci.state(running)["pid"]
    assert oci.ok("ps", "--format", "json", running) == f"[{pid}]\n"
    assert oci.ok("list", "--format", "json").startswith('[{"ociVersion":"1.0.2","id":"')
    lines = oci.ok("ps", running).splitlines()
    assert len(lines) == 2
    assert str(pid) in lines[1].split()


def test_features_name_what_there_is(oci: Oci) -> None:
    features = json.loads(oci.ok("features"))
    assert features["ociVersionMin"] == "1.0.0"
    assert "createContainer" in features["hooks"]
    assert "rbind" in features["mountOptions"]
    assert "CAP_SYS_ADMIN" in features["linux"]["capabilities"]
    assert "SCMP_ACT_ERRNO" in features["linux"]["seccomp"]["actions"]


def test_spec_writes_a_config_that_runs(oci: Oci, tmp_path: Path) -> None:
    oci.ok("spec")
    path = tmp_path / "config.json"
    spec = json.loads(path.read_text())
    assert "remove it first" in oci.run("spec").stderr
    spec["process"] |= {"terminal": False, "args": ["echo", "runs"]}
    spec["linux"]["cgroupsPath"] = oci.id("cgroup")
    path.write_text(json.dumps(spec))
    assert oci.ok("run", oci.id()) == "runs\n"


@pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="systemd runs here")
def test_the_systemd_manager_is_refused_with_the_way_out(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("true"))
    refused = oci.run("--systemd-cgroup", "run", oci.id())
    assert refused.returncode == 1
    assert "systemd is not the init here" in refused.stderr
    assert "--cgroup-manager=cgroupfs" in refused.stderr


def test_without_cgroups_there_are_none_and_no_limits(oci: Oci, write_spec: WriteSpec) -> None:
    spec = make_spec("true")
    write_spec(spec)
    oci.ok("--cgroup-manager", "disabled", "run", oci.id())
    spec["linux"]["resources"] = {"pids": {"limit": 5}}
    write_spec(spec)
    refused = oci.run("--cgroup-manager", "disabled", "run", oci.id())
    assert "limits need a cgroup" in refused.stderr


def test_debug_tells_what_was_asked_and_how_it_ended(
    oci: Oci, write_spec: WriteSpec, tmp_path: Path
) -> None:
    write_spec(make_spec("true"))
    done = oci.run("--debug", "run", oci.id())
    first, *_, last = done.stderr.splitlines()  # twice, where it becomes a sealed copy first
    assert "level=debug" in first
    assert f": run bundle='.' {oci.id()}\"" in first
    assert "run has ended with 0" in last
    oci.ok("--debug", "--log", str(tmp_path / "log"), "--log-format", "json", "run", oci.id())
    rows = [json.loads(row) for row in (tmp_path / "log").read_text().splitlines()]
    assert {row["level"] for row in rows} == {"debug"}


def test_help_names_every_option(oci: Oci) -> None:
    assert "--preserve-fds N" in oci.ok("run", "--help")
    assert "checkpoint" in oci.ok("--help")
    assert "spec: 1." in oci.ok("--version")


def test_output_that_cannot_be_written_is_told(oci: Oci) -> None:
    for words in ("--version", "features", "list"):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run(
                [*oci.program, words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert done.returncode == 1
        assert "No space left on device" in done.stderr


def test_checkpoint_and_restore_say_what_they_lack(oci: Oci, running: str) -> None:
    for verb in ("checkpoint", "restore"):
        refused = oci.run("--criu", "/no/such/criu", verb, running)
        assert refused.returncode == 1
        assert "/no/such/criu is not installed" in refused.stderr
        refused = oci.run(verb, "--lazy-pages", running)
        assert "--lazy-pages is not supported" in refused.stderr
    assert "holds no checkpoint" in oci.run("restore", oci.id("other")).stderr
    assert oci.ok("list", "-q").split() == [running]


@pytest.mark.requires_command("criu")
def test_where_criu_does_not_work_a_container_runs_on(oci: Oci, running: str) -> None:
    if subprocess.run(["criu", "check"], check=False, capture_output=True).returncode == 0:
        pytest.skip("criu works here: tests/guest/root/test_checkpoint.py has it all")
    refused = oci.run("checkpoint", running)
    assert refused.returncode == 1
    assert "does not work on this kernel" in refused.stderr
    assert "[NotSupported]" in refused.stderr
    assert oci.state(running)["status"] == "running"


@pytest.mark.parametrize(
    ("given", "limit"), [("52428800", 50 << 20), ("50M", 50 << 20), ("20mb", 20 << 20)]
)
def test_a_size_has_units_that_are_powers_of_1024(
    oci: Oci, running: str, given: str, limit: int
) -> None:
    oci.ok("update", "--memory", given, running)
    assert _limits(oci, running)[0] == limit


def test_update_of_a_stopped_container_is_an_error(oci: Oci, running: str) -> None:
    oci.ok("kill", running, "KILL")
    oci.await_status(running, "stopped")
    assert "container not running" in oci.run("update", "--pids-limit", "5", running).stderr


def test_events_have_the_figures_by_runcs_names(oci: Oci, running: str) -> None:
    data = json.loads(oci.ok("events", "--stats", running))["data"]
    assert data["cpu"]["usage"]["total"] > 0
    assert set(data["cpu"]["throttling"]) == {"periods", "throttledPeriods", "throttledTime"}
    assert data["memory"]["usage"]["usage"] > 0
    assert data["memory"]["usage"]["failcnt"] == 0
    assert data["memory"]["raw"]["anon"] > 0
    assert {"ioServiceBytesRecursive", "ioServicedRecursive"} <= set(data["blkio"])
    assert data["pids"]["current"] == 1
