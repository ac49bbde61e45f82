"""Entries of the monitor process: take the lock, listen, adopt what runs, serve.

`main`: started on demand by `reconciler.monitor.spawn` from a sealed copy of the interpreter, with
RUN_DIR READY_FD LINGER_S. It detaches itself, says "ready", and exits 0 when idle, or at once
when another monitor already serves the run directory.

`main_activated`: started by systemd through `reconciler.monitor.__main__`, with RUN_DIR LINGER_S
and the listening socket as descriptor 3 (sd_listen_fds(3)). It is ready once it has adopted.
"""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import sys
import time

from reconciler.lean import socket
from reconciler.linux import process
from reconciler.linux.notify import Notifier, take_listeners, take_notifier
from reconciler.monitor import launch
from reconciler.monitor.lifetime import Lifetime
from reconciler.monitor.listener import Listener
from reconciler.monitor.names import LOCK_NAME, LOG_NAME, SOCKET_NAME
from reconciler.monitor.server import Monitor
from reconciler.monitor.steps import load_steps

_LOCK_PATIENCE_S = 10.0
_STANDARD_STREAMS = 3


def main() -> None:
    """Serve the run directory named in the arguments, started on demand."""
    run_dir, ready_fd, linger_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    os.makedirs(os.path.join(run_dir, "containers"), 0o700, exist_ok=True)
    _detach(run_dir, ready_fd)
    lock_fd = _take_lock(run_dir, may_be_served=True)
    if lock_fd is not None:
        listener = Listener(run_dir, lock_fd)
        monitor = _make_monitor(run_dir, listener, linger_s, Notifier())
        _say_ready(ready_fd)
        _run(monitor)
        listener.remove()
    else:
        _say_ready(ready_fd)


def main_activated() -> None:
    """Serve the run directory named in the arguments, on the socket that systemd has handed us."""
    run_dir, linger_s = sys.argv[1], float(sys.argv[2])
    notifier = take_notifier()
    listener = _take_listener(os.path.join(run_dir, SOCKET_NAME))
    os.makedirs(os.path.join(run_dir, "containers"), 0o700, exist_ok=True)
    os.chdir("/")
    os.umask(0o077)
    os.closerange(listener.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    _become_monitor()
    lock_fd = _take_lock(run_dir, may_be_served=False)
    assert lock_fd is not None  # or it has raised
    monitor = _make_monitor(run_dir, Listener(run_dir, lock_fd, listener), linger_s, notifier)
    notifier.ready(f"{len(monitor.children)} containers adopted")
    _run(monitor)


def _make_monitor(run_dir: str, listener: Listener, linger_s: float, notifier: Notifier) -> Monitor:
    monitor = Monitor(run_dir, listener, Lifetime(linger_s, notifier))
    load_steps()  # now, and not when the files may be those of another version
    monitor.adopt_all()
    return monitor


def _run(monitor: Monitor) -> None:
    gc.collect()
    gc.freeze()  # children copy fewer pages
    monitor.run()


def _take_listener(path: str) -> socket.socket:
    """Return the socket that systemd listens on for us. Raises: ConnectionError without one."""
    fds = take_listeners()
    if len(fds) == 1:
        sock = socket.socket(fileno=fds[0])
        is_ours = sock.type == socket.SOCK_SEQPACKET and sock.getsockname() == path
        if is_ours and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sock.setblocking(False)
            return sock
    text = f"systemd has handed over no socket that listens at {path}: start it by its socket unit"
    raise ConnectionError(text)


def _detach(run_dir: str, ready_fd: int) -> None:
    """Leave the caller's session, directory, streams and descriptors; be a child of init."""
    if process.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    log = os.path.join(run_dir, LOG_NAME)
    for target, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        path = log if target else "/dev/null"
        fd = os.open(path, flags | (os.O_CREAT | os.O_TRUNC if target else 0), 0o600)
        os.dup2(fd, target)
        os.close(fd)
    if ready_fd != _STANDARD_STREAMS:
        os.dup2(ready_fd, _STANDARD_STREAMS)
    os.set_inheritable(_STANDARD_STREAMS, False)
    os.closerange(_STANDARD_STREAMS + 1, os.sysconf("SC_OPEN_MAX"))
    _become_monitor()


def _become_monitor() -> None:
    """Be what nobody looks into, has a name, and may have many descriptors."""
    process.prctl(process.PR_SET_DUMPABLE, 0)
    process.set_process_name("reconciler-mon")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    launch.original_nofile = (soft, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _take_lock(run_dir: str, *, may_be_served: bool) -> int | None:
    """Return the locked fd, or None when another monitor serves already.

    A monitor that is just ending holds the lock for a moment more: it is waited for.
    `may_be_served`: there may be another; a socket that is ours says nothing of that.
    Raises: TimeoutError.
    """
    fd = os.open(os.path.join(run_dir, LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while time.monotonic() < deadline:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if may_be_served and _is_served(os.path.join(run_dir, SOCKET_NAME)):
                return None
            time.sleep(0.005)
        else:
            return fd
    raise TimeoutError(f"another process holds {LOCK_NAME} in {run_dir} and serves nobody")


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        try:
            sock.connect(path)
        except OSError:
            return False
    return True


def _say_ready(ready_fd: int) -> None:
    os.write(_STANDARD_STREAMS, b"1")
    os.close(_STANDARD_STREAMS)
