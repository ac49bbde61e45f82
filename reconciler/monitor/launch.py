"""Clone a child into new namespaces and let it run its steps: the start of every container.

Called by the monitor; a library that needs no monitor, for callers that want the init as
their own child. The calling process must have a single thread.

    parent                                   child (pid 1 of its namespace)
      | pipe(status), clone3 ------------------>|
      | close(status write end)                 | step 1 .. step n: each raises OSError or not
      | poll(status read end)                   |
      |   <------ one JSON line ----------------| a step failed: {"step", "kind", "errno",
      |           then end of file              |   "path", "text"}, _exit(127)
      |   <------ end of file ------------------| execve closed it: the command runs
"""

from __future__ import annotations

import gc
import os
import resource
import struct

from reconciler.lean import Any, NamedTuple, Sequence, json, signal
from reconciler.linux.calls import SYS
from reconciler.linux.process import PR_GET_DUMPABLE, PR_SET_DUMPABLE, clone3, prctl
from reconciler.monitor.steps import Step
from reconciler.monitor.steps.context import Context
from reconciler.monitor.steps.prepared import Part, execute_here, prepare_steps, step_at_fault

_EXIT_SETUP_FAILED = 127
_MESSAGE_MAX = 65536
_SIGTERM = int(signal.SIGTERM)
_SIGACTION_BYTES, _SIGSET_BYTES = 32, 8  # of the kernel's own interface, rt_sigaction(2)
_NO_FAILURE = {
    "step": None,
    "kind": None,
    "errno": 0,
    "path": None,
    "text": "internal error: what its set-up says cannot be understood",
}

# What the caller's caller had of RLIMIT_NOFILE, when the caller raised its own.
original_nofile: tuple[int, int] | None = None


class Launched(NamedTuple):
    """A child on its way: pid, its pidfd, and the read end of its status pipe (non-blocking)."""

    pid: int
    pidfd: int
    status_fd: int


_UMASK = 0o022


class Begin(NamedTuple):
    """The step before all others: the monitor's signal handler, mask of modes and limit go.

    With that mask nobody but root could reach what is mounted below a directory that is made.
    """

    nofile: tuple[int, int] | None

    def describe(self) -> str:
        return "prepare"

    def prepare(self, context: Context) -> None:
        default = bytes(_SIGACTION_BYTES)
        context.calls.add(SYS.rt_sigaction, _SIGTERM, default, None, _SIGSET_BYTES)
        context.calls.add(SYS.umask, _UMASK)
        if self.nofile is not None:
            limit = struct.pack("=2Q", *(value % 2**64 for value in self.nofile))
            context.calls.add(SYS.prlimit64, 0, resource.RLIMIT_NOFILE, limit, None)


def launch(
    steps: list[Step],
    flags: int,
    cgroup_dir: str | None,
    streams: tuple[int, ...] = (),
    *,
    joins: Sequence[tuple[str, int]] = (),
    id_maps: dict[str, str] | None = None,
    host_steps: Sequence[Step] = (),
) -> Launched:
    """Clone a child that runs `steps`; return at once. `flags` are CLONE_NEW* bits.

    `cgroup_dir` is a cgroup v2 directory, `joins` are namespaces as `clone_into` takes them, for
    the child to be born in; `streams` are descriptors for steps that ask for them; `id_maps` are
    for the user namespace that it is born in, and it waits for them. `host_steps` are executed by
    the caller itself, before: they open what the child might not.

    Raises: OSError.
    """
    status_read, status_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    context = Context(status_write, streams)
    cgroup_fd = gate = None
    try:
        if id_maps is not None:
            gate = os.pipe2(os.O_CLOEXEC)
        if cgroup_dir is not None:
            cgroup_fd = os.open(cgroup_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        execute_here(host_steps, context)
        program = prepare_steps([Begin(original_nofile), *steps], context)
        # The files of a process that is not dumpable are root's, and an ordinary user could not
        # write the id maps of a child that is born so (proc(5)).
        is_hidden = id_maps is not None and os.geteuid() != 0 and not prctl(PR_GET_DUMPABLE)
        if is_hidden:
            prctl(PR_SET_DUMPABLE, 1)
        pid, pidfd = _clone(flags, cgroup_fd, joins)
        if pid == 0:
            run_steps(program, context, gate)
        if is_hidden:
            prctl(PR_SET_DUMPABLE, 0)
        if gate is not None and id_maps is not None:
            _open_gate(gate, pid, pidfd, id_maps)
    except BaseException:
        os.close(status_read)
        raise
    finally:
        for fd in (status_write, cgroup_fd, *(gate or ()), *context.trees.values()):
            if fd is not None:
                os.close(fd)
    return Launched(pid, pidfd, status_read)


def _open_gate(gate: tuple[int, int], pid: int, pidfd: int, id_maps: dict[str, str]) -> None:
    """Give the child its ids and let it go on; end it where it cannot have them."""
    from reconciler.linux.reaping import await_end
    from reconciler.linux.userns import write_id_maps

    try:
        write_id_maps(pid, id_maps)
        os.write(gate[1], b"0")
    except BaseException:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        await_end(pid, pidfd)
        os.close(pidfd)
        raise


def _clone(flags: int, cgroup_fd: int | None, joins: Sequence[tuple[str, int]]) -> tuple[int, int]:
    pid, collects = -1, gc.isenabled()
    gc.disable()  # a collection in the child would copy every page it visits
    try:
        if joins:
            from reconciler.monitor.joining import clone_into  # few containers need it

            pid, pidfd = clone_into(joins, flags, cgroup_fd)
        else:
            pid, pidfd = clone3(flags, cgroup_fd)
    finally:
        if pid != 0 and collects:
            gc.enable()
    return pid, pidfd


def run_steps(program: list[Part], context: Context, gate: tuple[int, int] | None = None) -> None:
    """Execute prepared steps in the child; report the first failure and exit. Never returns.

    With a `gate` (a pipe) only once a byte has come through it.
    """
    part: Part | None = None
    message: dict[str, Any] = {}
    try:
        if gate is not None:
            os.close(gate[1])
            if not os.read(gate[0], 1):
                os._exit(_EXIT_SETUP_FAILED)
        for part in program:
            part.execute(context)
        message = {"errno": 0, "path": None, "text": "internal error: the last step returned"}
    except OSError as error:
        message = {"errno": error.errno, "path": error.filename, "text": error.strerror}
    except BaseException as error:  # noqa: BLE001 - the child must not outlive its set-up
        message = {"errno": 0, "path": None, "text": f"internal error: {error!r}"}
    finally:
        try:
            step = None if part is None else step_at_fault(part)
            message |= {"kind": type(step).__name__, "step": _describe(step)}
            os.write(context.status_fd, json.dumps(message).encode() + b"\n")
        finally:  # or it would go on as a second parent
            os._exit(_EXIT_SETUP_FAILED)


def _describe(step: Step | None) -> str:
    """Say which step it was; nothing said would mean that all went well."""
    try:
        return step.describe() if step is not None else "prepare"
    except Exception:  # noqa: BLE001 - what is wrong with its values has made it fail, too
        return type(step).__name__


def read_status(status_fd: int, so_far: bytes) -> tuple[bytes, bool]:
    """Return what the child has said, `so_far` included, and whether that is all.

    Raises: BlockingIOError when there is nothing new yet.
    """
    data = os.read(status_fd, _MESSAGE_MAX)
    return so_far + data, not data


def parse_status(said: bytes) -> tuple[int | None, dict[str, Any] | None]:
    """Return the pid of the process that a joiner made, and the failure of a step, if any."""
    pid: int | None = None
    failure: dict[str, Any] | None = None
    for line in said.splitlines():  # of two processes, in any order
        try:
            message = json.loads(line)
            if "step" in message:
                failure = _NO_FAILURE | message
            else:
                number = int(message["pid"])
                pid = pid or number
        except (LookupError, TypeError, ValueError, RecursionError):
            failure = failure or _NO_FAILURE  # by who traces it: nobody else can write there
    return pid, failure
