"""`exec`: further processes in a container."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.oci.conftest import Oci, Spec, make_spec

pytestmark = pytest.mark.requires_root
WriteSpec = Callable[[Spec], None]


@pytest.fixture
def running(oci: Oci, write_spec: WriteSpec) -> str:
    """Return the id of a running container."""
    spec = make_spec("sleep", "1000")
    spec["process"]["env"].append("INIT=yes")
    write_spec(spec)
    oci.start_in_background("run", "-d", oci.id())
    return oci.id()


def test_it_passes_on_output_and_exit_code(oci: Oci, running: str) -> None:
    done = oci.run("exec", running, "sh", "-c", "hostname; echo err >&2; exit 6")
    assert (done.returncode, done.stdout, done.stderr) == (6, "guest\n", "err\n")


def test_options_change_what_the_process_is(oci: Oci, running: str) -> None:
    words = ["--user", "1000:1001", "--cwd", "/tmp", "-e", "A=b", "-g", "1700"]
    script = "id -u; id -g; id -G; pwd; echo $A $INIT"
    said = oci.ok("exec", *words, running, "sh", "-c", script)
    assert said.splitlines() == ["1000", "1001", "1001 1700", "/tmp", "b yes"]


def test_a_capability_is_added_and_not_made_inheritable(oci: Oci, running: str) -> None:
    said = oci.ok("exec", "--cap", "CAP_KILL", running, "grep", "Cap", "/proc/self/status")
    sets = {line.split(":")[0]: int(line.split(":")[1], 16) for line in said.splitlines()}
    assert sets["CapBnd"] == sets["CapPrm"] == sets["CapEff"] == 1 << 5
    assert sets["CapInh"] == 0


def test_a_process_file_says_all(oci: Oci, running: str, tmp_path: Path) -> None:
    process = make_spec("sh", "-c", "pwd; echo $X; grep NoNewPrivs /proc/self/status")["process"]
    process |= {"cwd": "/srv", "env": ["PATH=/bin", "X=y"], "noNewPrivileges": False}
    (tmp_path / "process.json").write_text(json.dumps(process))
    said = oci.ok("exec", "--process", str(tmp_path / "process.json"), running)
    assert said.split() == ["/srv", "y", "NoNewPrivs:", "0"]


def test_detached_it_outlives_the_call(oci: Oci, running: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    oci.start_in_background("exec", "-d", "--pid-file", str(pid_file), running, "sleep", "1000")
    pid = int(pid_file.read_text())
    assert sorted(json.loads(oci.ok("ps", "-f", "json", running))) == sorted(
        [oci.state(running)["pid"], pid]
    )
    assert Path(f"/proc/{pid}/ns/pid").readlink() != Path("/proc/self/ns/pid").readlink()


def test_what_cannot_run_is_told_with_255(oci: Oci, running: str) -> None:
    for command, words in (("nosuch", "executable file not found"), ("/etc", "permission denied")):
        failed = oci.run("exec", running, command)
        assert failed.returncode == 255
        assert words in failed.stderr


def test_a_paused_container_takes_no_process(oci: Oci, running: str) -> None:
    oci.ok("pause", running)
    assert oci.state(running)["status"] == "paused"
    refused = oci.run("exec", running, "true")
    assert refused.returncode == 255
    assert "paused" in refused.stderr
    oci.ok("resume", running)
    oci.ok("exec", running, "true")


def test_options_of_the_command_are_not_ours(oci: Oci, running: str) -> None:
    assert oci.ok("exec", running, "echo", "--user", "-e") == "--user -e\n"
    assert oci.ok("exec", running, "--", "echo", "--help") == "--help\n"


def test_a_stopped_container_takes_no_process(oci: Oci, running: str) -> None:
    oci.ok("kill", running, "KILL")
    oci.await_status(running, "stopped")
    refused = oci.run("exec", running, "true")
    assert refused.returncode == 255
    assert "stopped" in refused.stderr


def test_all_processes_get_a_signal_where_told(oci: Oci, running: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    oci.start_in_background("exec", "-d", "--pid-file", str(pid_file), running, "sleep", "1000")
    oci.ok("kill", "--all", running, "KILL")
    oci.await_status(running, "stopped")
    assert not os.path.exists(f"/proc/{pid_file.read_text()}/root/")


def test_a_user_can_reopen_its_standard_streams(oci: Oci, running: str) -> None:
    script = "echo out > /dev/stdout; echo err > /dev/stderr"
    done = oci.run("exec", "--user", "1000:1000", running, "sh", "-c", script)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_further_terminal_belongs_to_its_user(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("sleep", "1000"))
    oci.start_in_background("run", "-d", oci.id())
    shown = oci.ok("exec", "-t", "-u", "1000:1000", oci.id(), "sh", "-c", "stat -c %u $(tty)")
    assert shown.strip() == "1000"


def test_a_pidfd_of_the_process_goes_over_the_socket(oci: Oci, write_spec: WriteSpec) -> None:
    write_spec(make_spec("sleep", "1000"))
    path = str(oci.bundle / "pidfd")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()
        oci.start_in_background("run", "-d", "--pidfd-socket", path, oci.id())
        connection, _ = server.accept()
        with connection:
            _, (pidfd,), _, _ = socket.recv_fds(connection, 100, 1)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    oci.await_status(oci.id(), "stopped")
