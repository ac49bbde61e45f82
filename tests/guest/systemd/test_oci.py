"""The OCI command line with systemd's cgroup manager, by itself and driven by podman."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.waiting import wait_until
from tests.guest.systemd.commands import PATIENCE_S, run, shown

SCOPE = "tests-c1.scope"
CGROUP = Path("/sys/fs/cgroup/machine.slice", SCOPE)
RUNTIME = str(Path(sys.executable).parent / "reconciler-oci")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of busybox that sleeps, with limits, in a scope of machine.slice."""
    directory = tmp_path_factory.mktemp("bundle")
    program = directory / "rootfs/bin/busybox"
    program.parent.mkdir(parents=True)
    shutil.copy("/bin/busybox", program)
    run(RUNTIME, "spec", "--bundle", str(directory))
    path = directory / "config.json"
    spec: dict[str, Any] = json.loads(path.read_text())
    spec["process"] |= {"terminal": False, "args": ["/bin/busybox", "sleep", "100000"]}
    spec["linux"]["cgroupsPath"] = "machine.slice:tests:c1"
    resources = {"memory": {"limit": 2**26}, "pids": {"limit": 64}}
    spec["linux"]["resources"] = spec["linux"].get("resources", {}) | resources
    path.write_text(json.dumps(spec))
    return directory


def oci(*arguments: str) -> str:
    return run(RUNTIME, "--systemd-cgroup", *arguments)


def test_a_container_is_a_delegated_scope_with_its_limits(bundle: Path) -> None:
    command = [RUNTIME, "--systemd-cgroup", "run", "--detach", "--bundle", str(bundle), "c1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pid = json.loads(oci("state", "c1"))["pid"]
    assert (CGROUP / "cgroup.procs").read_text() == f"{pid}\n"
    assert (CGROUP / "memory.max").read_text() == "67108864\n"
    assert shown(SCOPE, "MemoryMax") == "67108864"
    assert shown(SCOPE, "TasksMax") == "64"
    assert shown(SCOPE, "Delegate") == "yes"
    assert shown(SCOPE, "Slice") == "machine.slice"


def test_changed_limits_outlive_a_reload_of_systemd() -> None:
    oci("update", "--memory", "32m", "c1")
    run("systemctl", "daemon-reload")
    assert shown(SCOPE, "MemoryMax") == "33554432"
    assert (CGROUP / "memory.max").read_text() == "33554432\n"


def test_nothing_is_left_of_a_deleted_container() -> None:
    oci("delete", "--force", "c1")
    assert not CGROUP.exists()
    wait_until(lambda: shown(SCOPE, "LoadState") == "not-found", "its scope is gone", PATIENCE_S)


@pytest.mark.slow
@pytest.mark.requires_command("podman")
def test_podman_runs_containers_with_systemds_manager(bundle: Path) -> None:
    options = ("--runtime", RUNTIME, "--cgroup-manager", "systemd")
    limits = ("--memory", "48m", "--network", "none", "--rootfs", str(bundle / "rootfs"))
    program = ("/bin/busybox", "cat", "/proc/self/cgroup")
    command = ["podman", *options, "run", "--rm", "--cgroupns", "host", *limits, *program]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ, timeout=280
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "/machine.slice/libpod-" in done.stdout
