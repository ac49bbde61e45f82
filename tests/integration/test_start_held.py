"""An init is cloned while its limits are made, and does nothing before it has them."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from reconciler import Engine, ErrorCode, ReconcilerError, Status
from reconciler.engine.container import Container
from reconciler.engine.failures import SetupFailed
from reconciler.engine.monitor_client import MonitorClient
from reconciler.linux.memfd import make_sealed_memfd
from reconciler.monitor import messages
from reconciler.monitor.names import SOCKET_NAME
from reconciler.monitor.run_file import RUN_FILE
from tests.integration.conftest import shell

pytestmark = pytest.mark.requires_root

FOREVER = shell("while :; do sleep 60; done")


def run_file(engine: Engine, name: str) -> Path:
    return Path(engine.store.directory(name), RUN_FILE)


def request_held(engine: Engine, container: Container) -> tuple[socket.socket, int]:
    """Ask for an init that waits, as the engine does; return the connection and the gate."""
    plan = engine.make_launch_plan(container.record)
    engine.driver.create(container.record.cgroups)
    memfd = make_sealed_memfd("plan", json.dumps(plan).encode())
    gate_read, gate_write = os.pipe2(os.O_CLOEXEC)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(60)
    sock.connect(os.path.join(engine.run_dir, SOCKET_NAME))
    messages.send(sock, {"op": "start_held"}, [memfd, gate_read])
    os.close(memfd)
    os.close(gate_read)
    while not run_file(engine, container.id).exists():
        os.sched_yield()
    return sock, gate_write


def test_an_init_that_waits_is_in_no_mount_namespace_set_up_yet(engine: Engine) -> None:
    engine.monitor.ping()
    container = engine.create("c1", FOREVER)
    sock, gate = request_held(engine, container)
    init = container.refresh().init
    assert init is not None
    assert os.readlink(f"/proc/{init.pid}/root") == "/"
    mounts = Path(f"/proc/{init.pid}/mounts").read_text().splitlines()
    assert len(mounts) > 5  # the host's still, in its own namespace
    os.write(gate, b"0")
    os.close(gate)
    answer, _ = messages.receive(sock)
    sock.close()
    assert answer is not None
    assert answer["pid"] == init.pid
    assert container.status() is Status.RUNNING
    assert Path(f"/proc/{init.pid}/mounts").read_text().splitlines() != mounts


def test_a_starter_that_dies_leaves_no_run_and_no_init(engine: Engine) -> None:
    engine.monitor.ping()
    container = engine.create("c1", FOREVER)
    sock, gate = request_held(engine, container)
    init = container.refresh().init
    assert init is not None
    pidfd = os.pidfd_open(init.pid)
    sock.close()
    os.close(gate)
    while run_file(engine, "c1").exists():
        os.sched_yield()
    with pytest.raises(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    assert engine.monitor.ping()["containers"] == 0
    assert container.status() is Status.CREATED
    container.start()
    assert container.status() is Status.RUNNING


def test_a_limit_that_fails_leaves_no_run_no_init_and_no_cgroup(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = engine.create("c1", FOREVER)

    def refuse(*_: object) -> None:
        assert engine.monitor.ping()["containers"] == 1  # it is held at this moment
        raise OSError(errno.ENOSPC, "no room")

    with monkeypatch.context() as patch:
        patch.setattr(engine.driver, "apply", refuse)
        with pytest.raises(ReconcilerError) as caught:
            container.start()
    assert caught.value.code is ErrorCode.NoSpace
    assert not run_file(engine, "c1").exists()
    assert engine.monitor.ping()["containers"] == 0
    assert not any(map(os.path.exists, container.record.cgroups.values()))
    assert container.status() is Status.CREATED
    container.start()
    assert container.status() is Status.RUNNING


def test_a_monitor_of_an_older_version_is_asked_as_that_version_knows(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / SOCKET_NAME))
        listener.listen()
        asked: list[tuple[str, int]] = []

        def serve_as_before() -> None:
            for _ in range(2):
                sock, _address = listener.accept()
                with sock:
                    request, fds = messages.receive(sock)
                    assert request is not None
                    asked.append((request["op"], len(fds)))
                    for fd in fds:
                        os.close(fd)
                    error = {"step": None, "kind": None, "errno": 22, "path": None}
                    unknown = {"error": error | {"text": "bad request: KeyError('start_held')"}}
                    known = {"pid": 1, "startTicks": 2, "startedAt": 3.0}
                    messages.send(sock, known if request["op"] == "start" else unknown)

        server = threading.Thread(target=serve_as_before)
        server.start()
        limited: list[int] = []
        answer = MonitorClient(str(tmp_path)).start(
            {"id": "c1"}, lambda: limited.append(len(asked))
        )
        server.join()
    assert answer["pid"] == 1
    assert asked == [("start_held", 2), ("start", 1)]
    assert len(limited) == 1


def test_a_refusal_is_told_although_the_gate_has_nobody_left(engine: Engine) -> None:
    engine.monitor.ping()
    container = engine.create("c1", FOREVER)
    plan = engine.make_launch_plan(container.record) | {"cgroupDir": "/sys/fs/cgroup/none"}
    engine.driver.create(container.record.cgroups)
    with pytest.raises(SetupFailed) as caught:
        engine.monitor.start(plan, lambda: None)
    assert caught.value.path == "/sys/fs/cgroup/none"
    engine.driver.remove(container.record.cgroups)
