"""Further processes in a running container."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from reconciler import Engine, ReconcilerError
from reconciler.engine.container import Container
from reconciler.errors import ErrorCode
from reconciler.linux.proc import read_stat
from reconciler.model.config import Command, Security
from tests.integration.conftest import in_root

pytestmark = pytest.mark.requires_root


@pytest.fixture
def container(engine: Engine, rootfs: Path) -> Container:
    config = in_root(
        rootfs,
        "exec sleep 1000",
        user="web",
        env={"A": "1"},
        security=Security(capabilities=("KILL",)),
    )
    made = engine.create("host1", config)
    made.start()
    return made


def run_in(container: Container, script: str, **fields: object) -> tuple[int | None, str]:
    """Run a shell script inside; return its exit code and what it wrote."""
    read, write = os.pipe()
    with open("/dev/null") as null:
        command = Command(argv=("sh", "-c", script), **fields)  # type: ignore[arg-type]
        session = container.execute(command, [null.fileno(), write, write])
    os.close(write)
    with session, open(read) as file:
        text = file.read()
        exit_status = session.wait(30)
    assert exit_status is not None
    return exit_status.code, text


def test_it_joins_every_namespace_and_the_cgroup(container: Container) -> None:
    assert container.record.init is not None
    pid = container.record.init.pid
    kinds = ("pid", "mnt", "uts", "ipc", "net", "cgroup", "user")
    script = "for n in pid mnt uts ipc net cgroup user; do readlink /proc/self/ns/$n; done"
    code, text = run_in(container, script)
    assert code == 0
    assert text.split() == [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in kinds]
    _, text = run_in(container, "cat /proc/self/cgroup; ps; hostname")
    assert "sleep 1000" in text
    assert text.split()[-1] == "host1"
    assert all(row.endswith(":/") for row in text.splitlines() if row[0].isdigit() and "::" in row)


def test_it_is_counted_in_the_containers_cgroup(container: Container) -> None:
    read, write = os.pipe()
    session = container.execute(Command(argv=("sleep", "1000")), [read, write, write])
    assert session.pid in container.processes()
    session.close()
    while read_stat(session.pid) is not None:  # killed, and collected by the monitor
        os.sched_yield()
    assert session.pid not in container.processes()
    os.close(read)
    os.close(write)


def test_it_has_the_identity_and_the_limits_of_the_container(container: Container) -> None:
    code, text = run_in(container, "id -u; echo $A $HOME; cat /proc/self/status", env={"B": "2"})
    assert code == 0
    rows = text.splitlines()
    assert rows[:2] == ["1500", "1 /srv"]
    status = dict(row.split(":\t", 1) for row in rows if ":\t" in row)
    assert int(status["CapEff"], 16) == 1 << 5
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_user_workdir_and_env_can_be_chosen(container: Container) -> None:
    code, text = run_in(container, "id -u; pwd; echo $A", user="0", workdir="/tmp", env={"A": "9"})
    assert (code, text.split()) == (0, ["0", "/tmp", "9"])


def test_it_holds_no_descriptor_but_its_streams(container: Container) -> None:
    _, text = run_in(container, "ls /proc/self/fd")
    assert text.split() == ["0", "1", "2", "3"]  # 3 is ls reading the directory


def test_its_exit_is_passed_on(container: Container) -> None:
    assert run_in(container, "exit 42")[0] == 42
    read, write = os.pipe()
    with container.execute(Command(argv=("sleep", "1000")), [read, write, write]) as session:
        os.kill(session.pid, signal.SIGKILL)
        exit_status = session.wait(30)
    assert exit_status is not None
    assert exit_status.signal == signal.SIGKILL
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("nonsense",), ErrorCode.CommandNotFound, "nonsense is not on the PATH"),
        (("/etc/passwd",), ErrorCode.CommandNotExecutable, "not executable"),
    ],
)
def test_a_command_that_cannot_run_says_so(
    container: Container, argv: tuple[str, ...], code: ErrorCode, words: str
) -> None:
    with pytest.raises(ReconcilerError) as error:
        container.execute(Command(argv=argv), [0, 1, 2])
    assert error.value.code is code
    assert words in str(error.value)
    assert str(error.value).startswith("cannot execute a command in host1: ")
    assert len(container.processes()) == 1


def test_a_paused_or_stopped_container_is_refused(container: Container) -> None:
    container.pause()
    with pytest.raises(ReconcilerError) as error:
        container.execute(Command(argv=("true",)), [0, 1, 2])
    assert error.value.code is ErrorCode.ContainerPaused
    container.resume()
    container.stop(signal.SIGKILL, 0)
    with pytest.raises(ReconcilerError) as error:
        container.execute(Command(argv=("true",)), [0, 1, 2])
    assert error.value.code is ErrorCode.ContainerNotRunning


def test_a_terminal_belongs_to_the_container(container: Container) -> None:
    ours, theirs = socket.socketpair()
    script = "tty; stty size; read x; echo got $x"
    command = Command(argv=("sh", "-c", script), terminal=(30, 100), user="0")
    with ours, container.execute(command, [theirs.fileno()]) as session:
        theirs.close()
        _, (master,), _, _ = socket.recv_fds(ours, 100, 1)
        os.write(master, b"word\n")
        exit_status = session.wait(30)
        text = os.read(master, 4096).decode()
        os.close(master)
    assert exit_status is not None
    assert exit_status.code == 0
    assert "/dev/pts/0" in text
    assert "30 100" in text
    assert "got word" in text
