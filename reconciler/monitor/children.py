"""One container as the monitor sees it: a pidfd, its logs, its run file, and who waits."""

from __future__ import annotations

import os
import time
from functools import partial
from stat import S_ISFIFO

from reconciler.cgroup import core
from reconciler.cgroup.oom import OomNotice, memory_figures
from reconciler.lean import Any, Callable, socket, suppress
from reconciler.linux.clock import wall_s
from reconciler.linux.proc import is_same_process, read_stat
from reconciler.linux.process import read_exit_status
from reconciler.linux.reaping import collect
from reconciler.monitor.logs import LogFile, LogStream, open_fifo
from reconciler.monitor.oom import is_ending, is_oom_exit
from reconciler.monitor.run_file import RUN_FILE, read_run, temporary_of, write_json

_STREAM_FDS = {"stdout": 1, "stderr": 2}


class Child:
    """A running init. `status_fd` is open while its set-up runs."""

    def __init__(self, directory: str, run: dict[str, Any], pidfd: int) -> None:
        self.id = os.path.basename(directory)
        self.directory = directory
        self.run = run
        self.pidfd = pidfd
        self.status_fd = -1
        self.said = b""
        self.starter: socket.socket | None = None
        self.waiters: list[socket.socket] = []
        self.log = LogFile(run["logDir"], run["logSize"], run["logFiles"])
        self.streams: list[LogStream] = []
        self.oom = OomNotice(run["cgroups"])
        self.outlived_oom_at: float | None = None  # monotonic
        try:
            for name in run["logStreams"]:
                if (fd := _open_stream(directory, name, run["pid"])) is not None:
                    self.streams.append(LogStream(fd, name, self.log))
        except OSError:
            self.pidfd = -1  # it stays the caller's
            self.close()
            raise

    def save(self) -> None:
        """Write the run file atomically. Raises: OSError."""
        if self.log.lost_bytes:
            self.run["logLost"] = {"bytes": self.log.lost_bytes, "error": self.log.error}
        write_json(os.path.join(self.directory, RUN_FILE), self.run)

    def reap(self) -> dict[str, Any]:
        """Collect the exit status, drain the logs, and return the exit for the run file."""
        for stream in self.streams:
            stream.close()
        self.streams = []
        status = self._wait_status()
        self.run["exit"] = make_exit(status, _oom_figures(self.run, status, self.outlived_oom_at))
        self.close()
        return dict(self.run["exit"])

    def has_outlived_oom(self) -> bool:
        """Tell whether the OOM killer took another process than init, and take note of it."""
        kills = core.oom_kills(self.run["cgroups"])
        if kills <= self.run["oomKills"] or is_ending(self.run["pid"]):
            return False
        self.outlived_oom_at = time.monotonic()
        self.run["oomKills"] = kills
        with suppress(OSError):  # a full disk: only a later monitor would read it
            self.save()
        return True

    def close(self) -> None:
        """Close every descriptor of the child's."""
        for stream in self.streams:
            os.close(stream.fd)
        self.streams = []
        self.log.close()
        self.oom.close()
        for fd in (self.pidfd, self.status_fd):
            if fd >= 0:
                os.close(fd)
        self.pidfd = self.status_fd = -1

    def _wait_status(self) -> int | None:
        """Return the wait status; None when the kernel cannot tell.

        Of our own child by waitpid. An adopted one is a zombie at first, with its status in its
        stat, and once init has reaped it the pidfd knows (Linux 6.15).
        """
        try:
            return collect(self.run["pid"])
        except ChildProcessError:
            stat = read_stat(self.run["pid"])
            if stat is not None and stat.start_ticks == self.run["startTicks"]:
                return stat.exit_status
            return read_exit_status(self.pidfd)


def _open_stream(directory: str, name: str, pid: int) -> int | None:
    """Open the reading end of a FIFO, by its init when somebody has removed it.

    None when the init has another stream by now. Raises: OSError.
    """
    with suppress(FileNotFoundError):
        return open_fifo(os.path.join(directory, name))
    with suppress(FileNotFoundError, ProcessLookupError):  # closed, or it has ended
        path = f"/proc/{pid}/fd/{_STREAM_FDS[name]}"
        if S_ISFIFO(os.stat(path).st_mode):
            return open_fifo(path)
    return None


def adopt(directory: str, boot_id: str) -> Child | None:
    """Return a Child for what an earlier monitor left running; None when there is nothing.

    An exit that nobody saw is recorded: from field 52 of the stat of a zombie (proc(5)), else
    as unknown.

    Raises: OSError.
    """
    with suppress(FileNotFoundError):  # of a monitor that was killed as it wrote
        os.unlink(temporary_of(os.path.join(directory, RUN_FILE)))
    run = read_run(directory)
    if run is None or run["exit"] is not None:
        return None
    run.setdefault("logStreams", ["stdout", "stderr"])  # not there in files of older versions
    stat = read_stat(run["pid"]) if run["bootId"] == boot_id else None
    if stat is not None and stat.start_ticks != run["startTicks"]:
        stat = None  # the pid is a stranger's
    if stat is not None and stat.is_alive():
        pidfd = os.pidfd_open(run["pid"])
        let_go: Callable[[], None] = partial(os.close, pidfd)
        try:
            if is_same_process(run["pid"], run["startTicks"]):
                child = Child(directory, run, pidfd)
                let_go = child.close
                child.has_outlived_oom()
                return child
        except OSError:
            let_go()
            raise
        os.close(pidfd)
    status = None if stat is None else stat.exit_status
    run["exit"] = make_exit(status, _oom_figures(run, status, None))
    write_json(os.path.join(directory, RUN_FILE), run)
    return None


def _oom_figures(
    run: dict[str, Any], status: int | None, outlived_at: float | None
) -> dict[str, int | None] | None:
    """Return the cgroup's memory figures when want of memory explains the exit, else None."""
    try:
        has_new_kills = core.oom_kills(run["cgroups"]) > run["oomKills"]
        if is_oom_exit(status, has_new_kills=has_new_kills, outlived_at=outlived_at):
            return memory_figures(run["cgroups"])
    except OSError:  # somebody removes the cgroup at this moment: the exit itself matters more
        return None
    return None


def make_exit(
    wait_status: int | None, oom_figures: dict[str, int | None] | None = None
) -> dict[str, Any]:
    """Return the run file's exit of a wait status (None: unknown); `oom_figures` of an OOM."""
    code = signal = None
    if wait_status is not None:
        exit_code = os.waitstatus_to_exitcode(wait_status)
        code, signal = (exit_code, None) if exit_code >= 0 else (None, -exit_code)
    return {
        "code": code,
        "signal": signal,
        "oom": oom_figures is not None,
        "at": wall_s(),
        "memory": oom_figures,
    }
