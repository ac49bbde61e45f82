"""What a container can use up of what serves the others: the monitor's time, shares of a user."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.model.config import Command, Config, Mount, MountType
from reconciler.model.isolation import Isolation, Namespaces
from tests.integration.conftest import output, shell

pytestmark = pytest.mark.requires_root

PYTHON = "/usr/bin/python3"

# A container's output is handed to another, which writes to it without end.
_GIVE = """
import signal, socket
with socket.socket(socket.AF_UNIX) as sock:
    sock.bind("/srv/give")
    sock.listen()
    peer, _ = sock.accept()
    socket.send_fds(peer, [b"x"], [1])
signal.pause()
"""
_FLOOD = """
import fcntl, os, socket
with socket.socket(socket.AF_UNIX) as sock:
    while True:
        try:
            sock.connect("/srv/give")
            break
        except OSError:
            pass
    _, fds, _, _ = socket.recv_fds(sock, 1, 1)
fcntl.fcntl(fds[0], fcntl.F_SETPIPE_SZ, 2**20)
print("flooding", flush=True)
os.fork()
os.fork()
while True:
    os.write(fds[0], b"x" * 65536)
"""


def _python(program: str, volume: Path) -> Config:
    mount = Mount(type=MountType.BIND, source=str(volume), target="/srv", options=("rw",))
    return Config(command=(PYTHON, "-c", program), user="0:0", mounts=(mount,))


def test_output_that_another_goes_on_writing_holds_up_nobody(
    engine: Engine, tmp_path: Path
) -> None:
    """As CVE-2022-1708, where what a container wrote held up who logs it.

    The bound itself is tested in tests/unit/monitor/test_logs.py.
    """
    volume = tmp_path / "volume"
    volume.mkdir()
    tmp_path.chmod(0o755)
    first = engine.create("first", _python(_GIVE, volume))
    first.start()
    second = engine.create("second", _python(_FLOOD, volume))
    second.start()
    log = Path(engine.state_dir, "logs/second/log")
    while not (log.exists() and "flooding" in log.read_text()):
        os.sched_yield()
    assert first.stop(signal.SIGKILL, 0) is not None
    third = engine.create("third", shell("true"))
    assert third.start().wait(30) is not None


# Traces what has joined its container, once it is the command, and never takes note of its end.
_HOLD = """
import ctypes, os
libc = ctypes.CDLL(None)
print("looking", flush=True)
while True:
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/comm") as file:
                    command = file.read()
            except OSError:
                continue
            if command == "sleep\\n" and libc.ptrace(0x4206, int(name), 0, 0) == 0:  # PTRACE_SEIZE
                print("traced", flush=True)
                signal.pause()
"""


def _says(engine: Engine, name: str, wanted: str) -> None:
    while wanted not in output(engine, name):
        os.sched_yield()


@pytest.mark.parametrize("way", ["exec", "kill", "init"])
def test_a_tracer_that_never_takes_note_of_an_end_holds_up_nobody(engine: Engine, way: str) -> None:
    """A zombie that is traced is not its parent's to collect; nothing is needed to trace one's own.

    A process that joins, one whose client is gone, and the init of another that shares its pids.
    """
    config = Config(command=(PYTHON, "-c", "import signal" + _HOLD), user="0:0")
    holder = engine.create("holder", config)
    holder.start()
    _says(engine, "holder", "looking")
    if way == "init":
        assert holder.record.init is not None
        pids = f"/proc/{holder.record.init.pid}/ns/pid"
        isolation = Isolation(namespaces=Namespaces(pid=pids))
        other = engine.create("other", shell("exec sleep 1000", user="0:0", isolation=isolation))
        other.start()
        _says(engine, "holder", "traced")
        ended = other.stop(signal.SIGKILL, 0)
        assert ended is not None
        assert ended.signal == signal.SIGKILL
    else:
        null = os.open("/dev/null", os.O_RDWR)
        session = holder.execute(Command(argv=("sleep", "1000"), user="0:0"), [null] * 3)
        _says(engine, "holder", "traced")
        if way == "exec":
            os.kill(session.pid, signal.SIGTERM)
            os.kill(session.pid, signal.SIGKILL)
            ended = session.wait(30)
            assert ended is not None
            assert ended.signal == signal.SIGKILL
        session.close()
        os.close(null)
    assert engine.create("next", shell("true")).start().wait(30) is not None
