"""A daemon and what it tells a service manager and the journal, over real sockets."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import Engine
from tests.conftest import RunDirs
from tests.integration.daemon import PATIENCE_S, SLEEP

pytestmark = pytest.mark.requires_root


class Manager:
    """The socket of a service manager, and the daemon that it has started."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, dirs: RunDirs, source: Path, watchdog_us: int) -> subprocess.Popen[bytes]:
        environ = os.environ | dirs.environ
        environ |= {"NOTIFY_SOCKET": self.sock.getsockname(), "WATCHDOG_USEC": str(watchdog_us)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "watch", str(source)],
            env=environ,
            stderr=subprocess.DEVNULL,
        )
        return self.process

    def await_line(self, wanted: str) -> list[str]:
        """Return the next message with a line that begins so."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert time.monotonic() < deadline, wanted
            lines = self.sock.recv(65536).decode().splitlines()
            if any(line.startswith(wanted) for line in lines):
                return lines

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    return directory


@pytest.fixture
def manager(engine: Engine, listener: socket.socket) -> Iterator[Manager]:
    made = Manager(listener)
    yield made
    made.end()


def test_it_is_ready_after_the_first_pass_lives_reloads_and_stops(
    manager: Manager, run_dirs: RunDirs, source: Path, engine: Engine
) -> None:
    (source / "web.yaml").write_text(SLEEP)
    process = manager.start(run_dirs, source, 600_000)
    ready = manager.await_line("READY=1")
    assert any(line.startswith("STATUS=1 container") for line in ready)
    assert engine.load("web").status().has_processes()
    for _ in range(3):
        manager.await_line("WATCHDOG=1")
    (source / "broken.yaml").write_text("command: 1\n")
    (status,) = manager.await_line("STATUS=2 containers: 1 invalid, 1 running; problem: ")
    assert "broken.yaml:1" in status
    process.send_signal(signal.SIGHUP)
    _, moment = manager.await_line("RELOADING=1")
    assert moment.startswith("MONOTONIC_USEC=")
    manager.await_line("READY=1")
    process.terminate()
    manager.await_line("STOPPING=1")
    assert process.wait(PATIENCE_S) == 0
    assert engine.load("web").status().has_processes()


def test_a_stopped_loop_gives_no_sign_of_life(
    manager: Manager, run_dirs: RunDirs, source: Path
) -> None:
    process = manager.start(run_dirs, source, 300_000)
    manager.await_line("READY=1")
    manager.await_line("WATCHDOG=1")
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    manager.sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while manager.sock.recv(65536):  # what was on its way
            pass
    manager.sock.settimeout(1)
    with pytest.raises(TimeoutError):
        manager.sock.recv(65536)
    process.send_signal(signal.SIGCONT)
    manager.sock.settimeout(PATIENCE_S)
    manager.await_line("WATCHDOG=1")


def test_an_action_within_a_pass_asks_for_patience_whatever_the_grace(
    manager: Manager, run_dirs: RunDirs, source: Path
) -> None:
    spec = source / "web.yaml"
    spec.write_text(f"{SLEEP}stop: {{signal: TERM, grace: 10m}}\n")
    manager.start(run_dirs, source, 600_000)
    assert manager.await_line("EXTEND_TIMEOUT_USEC=") == ["EXTEND_TIMEOUT_USEC=120600000"]
    assert manager.await_line("WATCHDOG_USEC=") == ["WATCHDOG_USEC=120600000"]
    assert manager.await_line("WATCHDOG_USEC=") == ["WATCHDOG_USEC=600000"]
    manager.await_line("READY=1")


def test_the_variables_of_the_service_manager_do_not_reach_containers(
    manager: Manager, run_dirs: RunDirs, source: Path, engine: Engine
) -> None:
    (source / "web.yaml").write_text(SLEEP)
    manager.start(run_dirs, source, 600_000)
    manager.await_line("READY=1")
    init = engine.load("web").record.init
    assert init is not None
    for pid in (init.pid, int(engine.monitor.ping()["pid"])):
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
