"""The kernel calls of a process as points, and a fault at one of them, by strace(1) from outside.

Owns how strace is driven: the product has no switch for this. A point is the nth call of one
name in one process, as a dry run has shown it; so a call that is new in the code is a new point.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e import kernel
from tests.e2e.waiting import wait_until

# What changes something, or has the kernel make something, or reads what a decision hangs on.
CALLS = (
    "openat,openat2,creat,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,mknod,"
    "mknodat,symlink,symlinkat,link,linkat,write,pwrite64,sendfile,fsync,fdatasync,ftruncate,"
    "chmod,fchmod,fchmodat,chown,fchown,fchownat,flock,clone,clone3,fork,vfork,execve,execveat,"
    "mount,umount2,pivot_root,move_mount,open_tree,fsopen,fsconfig,fsmount,mount_setattr,setns,"
    "unshare,socket,bind,listen,connect,sendmsg,sendto,recvmsg,kill,pidfd_send_signal,pidfd_open,"
    "memfd_create,pipe2,epoll_create1,epoll_ctl,inotify_init1,inotify_add_watch,eventfd2,"
    "signalfd4,bpf,seccomp,prctl,capset,setresuid,setresgid,setgroups,setuid,setgid,setsid,"
    "prlimit64,sethostname,dup2,dup3,chdir,fchdir,close_range,keyctl,waitid,wait4"
)
_ENTRY = re.compile(r"(?P<pid>\d+) +(?P<call>[a-z_0-9]+)\((?P<args>.*)")
# Calls whose path says nothing of ours are the interpreter's own, as it starts.
_OURS = re.compile(r'"/sys/fs/cgroup|"/proc/|"/dev/|"(stdout|stderr|run\.json|state\.json)')
_TO_US = re.compile(r"^[12], ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The nth call of one name in a process; what it was in the dry run is for people."""

    call: str
    number: int
    shown: str

    @property
    def is_change(self) -> bool:
        """Tell whether something is other before it than after it: it is no mere look."""
        return not (self.call.startswith("open") and "O_CREAT" not in self.shown) or (
            "O_WRONLY" in self.shown or "O_RDWR" in self.shown
        )

    def inject(self, fault: str) -> str:
        """Return strace's expression for a fault (`signal=KILL`, `error=ENOSPC`) here."""
        return f"inject={self.call}:{fault}:when={self.number}"


def points(trace: str, base: Path, first: str) -> Iterator[Point]:
    """Give the points of a dry run, in order: of the process that began it and of its children.

    `first`: the process that was traced. What a container does after its execve is no point.
    """
    counts: Counter[tuple[str, str]] = Counter()
    seen: set[tuple[str, int]] = set()
    has_ended: set[str] = set()
    for line in trace.splitlines():
        entry = _ENTRY.match(line)
        if entry is None or entry["pid"] in has_ended:
            continue
        pid, call, args = entry["pid"], entry["call"], entry["args"]
        counts[pid, call] += 1
        point = Point(call=call, number=counts[pid, call], shown=f"{call}({args}"[:160])
        if call == "execve" and pid != first:
            has_ended.add(pid)
        if (call, point.number) not in seen and _is_ours(call, args, str(base)):
            seen.add((call, point.number))
            yield point


def _is_ours(call: str, args: str, base: str) -> bool:
    if call.startswith("open") or call == "execve":
        return base in args or _OURS.search(args) is not None
    return call != "write" or _TO_US.match(args) is None


def was_injected(trace: str) -> bool:
    """Tell whether the fault came; a process that was killed in a call shows no more."""
    return "INJECTED" in trace or "+++ killed by SIGKILL +++" in trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """How a traced command ended (`code`: its exit, None when it was killed), words and calls."""

    code: int | None
    text: str
    trace: str


def run_traced(
    command: list[str], environ: Mapping[str, str], scratch: Path, inject: str | None
) -> Traced:
    """Run a command and all that it starts under strace; what outlives it runs on, untraced."""
    trace, said = scratch / "trace", scratch / "said"
    trace.write_text("")
    words = [*_strace(trace, inject), *command]
    with (
        said.open("wb") as out,
        subprocess.Popen(words, env=environ, stdout=out, stderr=out) as run,
    ):
        try:
            wait_until(lambda: run.poll() is not None or _end(trace.read_text()), "it ends", 90)
        finally:
            run.terminate()
    text = trace.read_text()
    end = _end(text)
    assert end is not None, said.read_text()
    code = int(end["code"]) if end["code"] else None
    return Traced(code=code, text=said.read_text(), trace=text)


def _strace(trace: Path, inject: str | None) -> list[str]:
    words = ["strace", "-f", "-q", "-I", "2", "-s", "200", "-o", str(trace), "-e", f"trace={CALLS}"]
    return words + (["-e", inject] if inject else [])


def _end(trace: str) -> re.Match[str] | None:
    """Return how the first process of a trace ended."""
    first = trace.split(maxsplit=1)[:1]
    pattern = rf"^{first[0]} +\+\+\+ (exited with (?P<code>\d+)|killed by)" if first else "(?!)"
    return re.search(pattern, trace, re.MULTILINE)


@contextmanager
def attached(pid: int, scratch: Path, inject: str | None) -> Iterator[Path]:
    """Trace a process that runs, and what it starts meanwhile; give the file of its calls."""
    trace = scratch / "trace"
    trace.write_text("")
    words = [*_strace(trace, inject), "-p", str(pid)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as tracer:
        try:
            wait_until(lambda: kernel.proc_status(pid)["TracerPid"] != "0", "strace is attached")
            yield trace
        finally:
            tracer.terminate()
