"""supervisord on the same work: plain processes without isolation, one section a file.

It starts, watches and restarts, and `supervisorctl update` takes changed files: what it has to do
is a part of ours, so that its figures are those of a simpler thing in the same language. Taken
from PATH or from beside this interpreter (`pip install supervisor`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_PATIENCE_S = 60.0
_MAIN = """\
[unix_http_server]
file={base}/socket
[supervisord]
logfile={base}/log
pidfile={base}/pid
childlogdir={base}
nodaemon=true
minfds=256
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{base}/socket
[include]
files={base}/conf.d/*.conf
"""
_PROGRAM = """\
[program:{name}]
command={command}
autostart={autostart}
autorestart=true
startsecs=0
stdout_logfile=NONE
stderr_logfile=NONE
"""


def find_supervisor(name: str = "supervisord") -> str | None:
    """Return the program's path, None when there is none."""
    beside = os.path.dirname(sys.executable)
    return shutil.which(name) or shutil.which(name, path=beside)


class Supervisor:
    """A supervisord with its files below `base`."""

    def __init__(self, base: Path, pid: int) -> None:
        self._base = base
        self.pid = pid

    def write_program(self, name: str, command: str, *, is_started: bool = True) -> None:
        """Write the section of a program, at once and whole."""
        text = _PROGRAM.format(name=name, command=command, autostart=str(is_started).lower())
        temporary = self._base / "program.tmp"
        temporary.write_text(text)
        temporary.rename(self._base / f"conf.d/{name}.conf")

    def control(self, *arguments: str) -> str:
        """Run `supervisorctl` and return what it prints. Raises: CalledProcessError."""
        command = [str(find_supervisor("supervisorctl")), "-c", str(self._base / "main.conf")]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode not in (0, 3):  # 3: not all run, says `status`
            raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout)
        return done.stdout

    def pid_of(self, name: str) -> int:
        """Return the pid of a program that runs."""
        return int(self.control("pid", name))


@contextlib.contextmanager
def make_supervisor(base: Path) -> Iterator[Supervisor]:
    """Run a supervisord without programs; afterwards it and all of them are gone."""
    (base / "conf.d").mkdir(parents=True)
    (base / "main.conf").write_text(_MAIN.format(base=base))
    daemon = subprocess.Popen(
        [str(find_supervisor()), "-c", str(base / "main.conf")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while not (base / "socket").exists():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((base / "log").read_text())
            time.sleep(0.05)
        yield Supervisor(base, daemon.pid)
    finally:
        daemon.terminate()
        daemon.wait(_PATIENCE_S)
