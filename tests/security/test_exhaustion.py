"""What a container can use up of what serves the others: the monitor's time, shares of a user."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from reconciler import Engine
from reconciler.model.config import Config, Mount, MountType
from tests.integration.conftest import shell

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
