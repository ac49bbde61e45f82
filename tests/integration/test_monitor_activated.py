"""The monitor as systemd starts it: the socket is handed over, and outlives it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.state import Status
from tests.conftest import RunDirs
from tests.e2e.waiting import wait_until
from tests.integration.conftest import output, shell

pytestmark = pytest.mark.requires_root

PATIENCE_S = 20.0
TICKS = shell("while echo tick; do sleep 0.05; done")


class Activator:
    """Listens as the socket unit does, and starts the service on descriptor 3."""

    def __init__(self, dirs: RunDirs, notify: socket.socket) -> None:
        self.run_dir = str(dirs.run_dir)
        self.notify = notify
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.bind(f"{self.run_dir}/monitor.sock")
        self.sock.listen(128)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> int:
        """Start the service, wait until it is ready, and return its pid."""
        script = f'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&{self.sock.fileno()}'
        command = [sys.executable, "-P", "-m", "reconciler.monitor", self.run_dir, "0.5"]
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", script, "bash", *command],
            pass_fds=(self.sock.fileno(),),
            env=os.environ
            | {"NOTIFY_SOCKET": self.notify.getsockname(), "WATCHDOG_USEC": "300000"},
        )
        self.await_word("READY=1")
        return self.process.pid

    def await_word(self, word: str) -> None:
        while word not in self.notify.recv(4096).decode():
            pass

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def stop(self) -> int:
        """End the service alone, as KillMode=process does."""
        assert self.process is not None
        self.process.terminate()
        return self.wait()


@pytest.fixture
def activator(run_dirs: RunDirs, listener: socket.socket) -> Iterator[Activator]:
    made = Activator(run_dirs, listener)
    yield made
    made.sock.close()
    Path(made.run_dir, "monitor.sock").unlink(missing_ok=True)


@pytest.fixture
def served(activator: Activator, engine: Engine) -> Iterator[Activator]:
    """Return the activator with its service running; at the end nothing of the engine is left."""
    activator.start()
    yield activator
    for container in engine.list():
        container.destroy()
    activator.wait()  # it is idle, and ends by itself


def test_a_restart_of_the_service_leaves_containers_and_adopts_them(
    served: Activator, engine: Engine
) -> None:
    container = engine.create("c1", TICKS)
    pid = container.start().pid
    assert served.stop() == 0
    assert container.status() is Status.RUNNING
    assert not engine.monitor.is_running()
    assert Path(served.run_dir, "monitor.sock").exists()
    second = served.start()
    assert engine.monitor.ping() == {"pid": second, "containers": 1}
    assert container.record.init is not None
    assert container.record.init.pid == pid
    before = len(output(engine, "c1"))
    wait_until(lambda: len(output(engine, "c1")) > before, "more output")
    container.signal(signal.SIGKILL)
    exit_status = container.wait(PATIENCE_S)
    assert exit_status is not None


def test_it_runs_from_a_sealed_copy_and_has_the_socket_alone(
    served: Activator, engine: Engine
) -> None:
    pid = int(engine.monitor.ping()["pid"])
    assert os.readlink(f"/proc/{pid}/exe").startswith("/memfd:reconciler-python")
    container = engine.create("c1", shell("tr '\\0' '\\n' </proc/self/environ; sleep 60"))
    container.start()
    lines = wait_until(lambda: output(engine, "c1"), "its environment")
    assert not [line for line in lines if line.startswith(("LISTEN", "NOTIFY", "WATCHDOG"))]


def test_it_gives_signs_of_life_while_idle_and_while_not(served: Activator, engine: Engine) -> None:
    exits = engine.exits()  # a connection: it does not end
    for _ in range(3):
        served.await_word("WATCHDOG=1")
    exits.close()


def test_nobody_starts_one_by_asking_whether_there_is_one(
    activator: Activator, engine: Engine
) -> None:
    assert not engine.monitor.is_running()
    activator.sock.setblocking(False)
    with pytest.raises(BlockingIOError):  # nobody has connected
        activator.sock.accept()


def test_one_that_was_started_on_demand_hands_over(
    run_dirs: RunDirs, engine: Engine, listener: socket.socket
) -> None:
    container = engine.create("c1", TICKS)
    pid = container.start().pid
    first = int(engine.monitor.ping()["pid"])
    engine.monitor.hand_over()
    assert not engine.monitor.is_running()
    assert container.status() is Status.RUNNING
    activator = Activator(run_dirs, listener)
    second = activator.start()
    assert second != first
    assert engine.monitor.ping() == {"pid": second, "containers": 1}
    assert container.refresh().init is not None
    assert container.record.init is not None
    assert container.record.init.pid == pid
    container.destroy()
    assert activator.wait() == 0
    activator.sock.close()
    Path(activator.run_dir, "monitor.sock").unlink()


def test_a_start_under_way_is_finished_before_it_ends(served: Activator, engine: Engine) -> None:
    """One is told to end while twenty are being started: each runs, or was not begun."""
    import threading

    errors: list[ReconcilerError] = []

    def start(number: int) -> None:
        try:
            engine.create(f"c{number}", TICKS).start()
        except ReconcilerError as error:
            errors.append(error)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    assert served.stop() == 0
    served.start()
    for thread in threads:
        thread.join()
    assert {error.code for error in errors} <= {ErrorCode.MonitorLost}
    running = [one for one in engine.list() if one.status() is Status.RUNNING]
    assert len(running) + len(errors) == 20
    assert engine.monitor.ping()["containers"] == len(running)


def test_where_systemd_is_to_listen_nobody_else_starts_a_monitor(
    run_dirs: RunDirs, engine: Engine
) -> None:
    note = {"cgroup": "/", "scope": "reconciler-containers.scope", "isUser": False}
    path = Path(run_dirs.run_dir, "systemd.json")
    path.write_text(json.dumps(note))
    other = Engine(run_dir=str(run_dirs.run_dir), state_dir=str(run_dirs.state_dir))
    with pytest.raises(ReconcilerError) as caught:
        other.monitor.ping()
    path.unlink()
    assert caught.value.code is ErrorCode.MonitorUnavailable
    assert str(caught.value).endswith("systemctl restart reconciler-monitor.socket")


def test_without_the_socket_it_says_how_it_is_started(run_dirs: RunDirs) -> None:
    made = subprocess.run(
        [sys.executable, "-P", "-m", "reconciler.monitor", str(run_dirs.run_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 1
    assert "start it by its socket unit" in made.stderr
