"""Start the monitor: from a sealed copy of this interpreter, on demand detached from us.

Called by the engine's monitor client, and by `__main__` where systemd starts it. The copy
(CVE-2019-5736): what a container can reach through /proc/PID/exe before its execve is a memory
file that nobody can write to.
"""

from __future__ import annotations

import os
import sys

from reconciler.lean import TYPE_CHECKING, NoReturn
from reconciler.linux.memfd import make_sealed_memfd
from reconciler.linux.proc import read_file
from reconciler.monitor.names import LOG_NAME

if TYPE_CHECKING:
    import subprocess

LINGER_S = 2.0
_BOOT = (
    "import sys;sys.path.insert(0,sys.argv.pop(1));from reconciler.lean.importer import install;"
    "install();from reconciler.monitor.main import {0};{0}()"
)
_ENVIRONMENT = {"LANG": "C.UTF-8"}
_OF_SYSTEMD = ("LISTEN_", "NOTIFY_", "WATCHDOG_")


def spawn_monitor(run_dir: str, linger_s: float = LINGER_S) -> None:
    """Start a monitor for `run_dir` and wait until it serves.

    Raises: OSError; ChildProcessError with the monitor's own words when it ended early.
    """
    import subprocess

    interpreter = _copy_interpreter()
    ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
    command = _command("main", run_dir, str(ready_write), str(linger_s))
    try:
        with subprocess.Popen(
            command,
            executable=f"/proc/self/fd/{interpreter}",
            pass_fds=(interpreter, ready_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env=_ENVIRONMENT,
        ) as first:
            os.close(ready_write)
            ready_write = -1
            _wait_ready(first, ready_read, os.path.join(run_dir, LOG_NAME))
    finally:
        for fd in (interpreter, ready_read, ready_write):
            if fd >= 0:
                os.close(fd)


def become_activated(run_dir: str, linger_s: float = LINGER_S) -> NoReturn:
    """Become the monitor that systemd has started, in a sealed copy of the interpreter.

    Raises: OSError.
    """
    environ = {name: value for name, value in os.environ.items() if name.startswith(_OF_SYSTEMD)}
    command = _command("main_activated", run_dir, str(linger_s))
    os.execve(_copy_interpreter(), command, environ | _ENVIRONMENT)


def _copy_interpreter() -> int:
    """Return the fd of a sealed copy of our interpreter."""
    source = os.open("/proc/self/exe", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return make_sealed_memfd("reconciler-python", source, is_program=True)
    finally:
        os.close(source)


def _command(entry: str, *arguments: str) -> list[str]:
    package_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, "-I", "-S", "-c", _BOOT.format(entry), package_root, *arguments]


def _wait_ready(first: subprocess.Popen[bytes], ready_read: int, log: str) -> None:
    """Wait for the monitor's word; raise with the last line it wrote instead.

    It writes to our pipe until it has detached itself, and to its log from then on.
    """
    if os.read(ready_read, 1):
        return
    assert first.stderr is not None
    said_bytes = first.stderr.read()
    if not said_bytes and os.path.exists(log):
        said_bytes = read_file(log)
    said = said_bytes.decode(errors="replace").strip()
    raise ChildProcessError(said.splitlines()[-1] if said else "it ended before it was ready")
