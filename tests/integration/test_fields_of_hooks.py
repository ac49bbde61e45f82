"""Hooks of a spec, and network devices that are moved, in containers that the monitor starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.spec_files import Reconciler

pytestmark = pytest.mark.requires_root

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
# Writes what it is told, and where it is: its name, its mount namespace, its view of /, its input.
HOOK = """\
#!/bin/sh
echo "$1 $(readlink /proc/self/ns/mnt) $(stat -c %d:%i / | tr -d '\\n') $(cat)" >> {log}
exit ${{2:-0}}
"""


@pytest.fixture
def log(reconciler: Reconciler, tmp_path: Path) -> Path:
    """Give the file that the hook beside the specs writes to; it is open to every user."""
    hook = reconciler.source / "hook"
    log = tmp_path / "log"
    log.touch()
    log.chmod(0o666)
    hook.write_text(HOOK.format(log=log))
    hook.chmod(0o755)
    return log


def read(log: Path) -> list[tuple[str, str, str, dict[str, Any]]]:
    lines = [line.split(" ", 3) for line in log.read_text().splitlines()]
    log.write_text("")
    return [(kind, mounts, root, json.loads(state)) for kind, mounts, root, state in lines]


def hooks(reconciler: Reconciler, log: Path, *kinds: str) -> str:
    own = f"mounts: [{{type: bind, source: {log}, target: {log}}},"
    own += f" {{type: bind, source: {reconciler.source}/hook, target: /run/hook}}]\n"
    programs = dict.fromkeys(kinds, "./hook") | {"startContainer": "/run/hook"}
    rows = "".join(f"  {kind}: [{{command: [{programs[kind]}, {kind}]}}]\n" for kind in kinds)
    return f"{own}annotations: {{zone: dmz}}\nhooks:\n{rows}"


def test_each_hook_runs_at_its_point_with_the_state_on_its_input(
    reconciler: Reconciler, log: Path
) -> None:
    reconciler.write(hooks(reconciler, log, *KINDS))
    done = reconciler("apply")
    assert done.returncode == 0, done.stdout + done.stderr
    pid = reconciler.pid()
    ran = read(log)
    assert [kind for kind, *_ in ran] == list(KINDS[:-1])
    statuses = [state["status"] for *_, state in ran]
    assert statuses == ["creating", "creating", "creating", "created", "running"]
    for _, _, _, state in ran:
        assert (state["pid"], state["id"], state["annotations"]) == (pid, "web", {"zone": "dmz"})
        assert os.path.isabs(state["bundle"])
    host, inside = os.readlink("/proc/self/ns/mnt"), os.readlink(f"/proc/{pid}/ns/mnt")
    mounts = {kind: namespace for kind, namespace, *_ in ran}
    assert mounts["prestart"] == mounts["createRuntime"] == mounts["poststart"] == host
    assert mounts["createContainer"] == mounts["startContainer"] == inside
    roots = {kind: root for kind, _, root, _ in ran}
    assert roots["createContainer"] == roots["prestart"] != ""
    reconciler("destroy", "web")
    assert [(kind, state["status"]) for kind, _, _, state in read(log)] == [("poststop", "stopped")]


def test_what_is_over_is_told_once_each_time(reconciler: Reconciler, log: Path) -> None:
    fields = hooks(reconciler, log, "createRuntime", "poststop")
    pid = reconciler.applied(fields)
    os.kill(pid, signal.SIGKILL)
    assert reconciler("wait", "web", "--for", "stopped").returncode == 0
    assert reconciler("apply").returncode == 0
    assert [kind for kind, *_ in read(log)] == ["createRuntime", "poststop", "createRuntime"]
    reconciler.write(fields + "state: stopped\n")
    assert reconciler("apply").returncode == 0
    assert [kind for kind, *_ in read(log)] == ["poststop"]
    reconciler("destroy", "web")
    assert read(log) == []


@pytest.mark.parametrize("kind", KINDS[:-2])
def test_a_hook_that_fails_keeps_the_command_from_starting(
    reconciler: Reconciler, log: Path, kind: str
) -> None:
    fields = hooks(reconciler, log, kind).replace(f", {kind}]", f", {kind}, '7']")
    told = reconciler.refused(fields)
    assert "hook" in told
    assert "failed with exit status 7" in told
    assert "HookFailed" in told
    assert "running" not in reconciler("status").stdout
    assert [one for one, *_ in read(log)][:1] == [kind]


def test_one_that_takes_too_long_is_killed_and_has_failed(reconciler: Reconciler) -> None:
    told = reconciler.refused(
        "hooks: {createRuntime: [{command: [/bin/sleep, '1000'], timeout: 100ms}]}\n"
    )
    assert "did not end within 0.1 s" in told


def test_a_failure_after_the_command_runs_is_logged_and_no_more(
    reconciler: Reconciler, log: Path
) -> None:
    fields = hooks(reconciler, log, "poststart").replace(", poststart]", ", poststart, '7']")
    reconciler.write(fields)
    done = reconciler("apply")
    assert done.returncode == 0
    assert "the poststart hook" in done.stderr
    assert "running" in reconciler("status").stdout


def test_a_program_that_is_not_there_is_told_before_the_old_run_ends(
    reconciler: Reconciler,
) -> None:
    pid = reconciler.applied("")
    told = reconciler.refused("hooks: {poststop: [{command: [./no-such]}]}\n")
    assert f"{reconciler.source}/no-such does not exist; correct hooks.poststop[0]" in told
    assert reconciler.pid() == pid


@pytest.fixture
def device() -> Iterator[str]:
    """Give a network device of the host."""
    name = f"rcd{os.getpid() % 10**8}"
    peer = ["type", "veth", "peer", "name", f"{name}p"]
    subprocess.run(["ip", "link", "add", name, *peer], check=True)
    yield name
    # The end that is still here takes the other one along.
    subprocess.run(["ip", "link", "delete", f"{name}p"], check=False, capture_output=True)
    subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)


@pytest.mark.requires_command("ip")
def test_a_network_device_is_moved_under_its_name_inside(
    reconciler: Reconciler, device: str
) -> None:
    reconciler.write(f"netDevices: {{{device}: inner0}}\n")
    done = reconciler("apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not os.path.exists(f"/sys/class/net/{device}")
    assert "inner0" in reconciler.inside("cat", "/proc/net/dev")


@pytest.mark.requires_command("ip")
def test_a_device_that_is_not_there_is_told_by_its_name(reconciler: Reconciler) -> None:
    told = reconciler.refused("netDevices: {nosuch0: eth0}\n")
    assert "cannot move the network device nosuch0 to web as eth0" in told
