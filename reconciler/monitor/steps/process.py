"""Steps that make the process what the spec says: cgroup, streams, identity, and the command."""

from __future__ import annotations

import binascii
import errno
import fcntl
import os
import resource
import stat
import struct

from reconciler.lean import Any, NamedTuple, json, partial, signal, socket
from reconciler.linux import capabilities, net, process, seccomp
from reconciler.linux.calls import AT_FDCWD, SYS, encode
from reconciler.linux.procfs import write_procfs
from reconciler.monitor.steps.context import Context
from reconciler.monitor.steps.places import (
    prepare_null_device,
    prepare_redirection,
    take_own_null,
)

_NEWCGROUP = int(process.CloneFlag.NEWCGROUP)
_EXEC_PATH_DEFAULT = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_IGNORABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


def failure_text(number: int) -> str:
    """Return why a file that is there cannot be executed, from the errno."""
    if number == errno.ENOENT:
        return "its interpreter (the #! line, or the ELF loader) does not exist"
    return os.strerror(number)


class Hide(NamedTuple):
    """Let nobody inside trace this process or open what it has open (proc(5)), until execve."""

    def describe(self) -> str:
        return "hide from the container"

    def prepare(self, context: Context) -> None:
        context.calls.add(SYS.prctl, process.PR_SET_DUMPABLE, 0, 0, 0, 0)


class JoinCgroups(NamedTuple):
    """Move the child into its v1 cgroups (cgroups(7): a 0 in cgroup.procs is the writer)."""

    files: list[str]

    def describe(self) -> str:
        return "join cgroups"

    def prepare(self, context: Context) -> None:
        calls, flags = context.calls, os.O_WRONLY | os.O_CLOEXEC
        for path in self.files:
            fd = calls.fd()
            calls.add(SYS.openat, AT_FDCWD, encode(path), flags, 0, keep=fd, path=path)
            calls.add(SYS.write, fd, b"0", 1, path=path)
            calls.close(fd)


class UnshareCgroup(NamedTuple):
    """Make the container's cgroups the root of what it sees (cgroup_namespaces(7))."""

    def describe(self) -> str:
        return "enter a cgroup namespace"

    def prepare(self, context: Context) -> None:
        context.calls.add(SYS.unshare, _NEWCGROUP)


class OpenOutput(NamedTuple):
    """Start a session; output goes into the log FIFOs.

    They are opened for reading too, so that a lost monitor blocks a writer at worst.
    """

    stdout: str
    stderr: str

    def describe(self) -> str:
        return "open the log FIFOs"

    def prepare(self, context: Context) -> None:
        calls, flags = context.calls, os.O_RDWR | os.O_CLOEXEC
        calls.add(SYS.setsid)
        for path, target in ((self.stdout, 1), (self.stderr, 2)):
            fd = calls.fd()
            calls.add(SYS.openat, AT_FDCWD, encode(path), flags, 0, keep=fd, path=path)
            prepare_redirection(context, fd, target)


class DiscardOutput(NamedTuple):
    """Start a session; output goes into the container's own /dev/null, not the host's."""

    def describe(self) -> str:
        return "open /dev/null for output"

    def prepare(self, context: Context) -> None:
        context.calls.add(SYS.setsid)
        for target in (1, 2):
            prepare_redirection(context, prepare_null_device(context, os.O_RDWR), target)


class KeepStreams(NamedTuple):
    """Start a session; the standard streams are the launcher's, given to the container's user.

    So that it can reopen /dev/stdout (as runc; what belongs to nobody or to another stays).
    """

    uid: int

    def describe(self) -> str:
        return "keep the standard streams"

    def execute(self, context: Context) -> None:
        os.setsid()
        for fd in (0, 1, 2):  # a descriptor of the host's, in none of the container's mounts
            take_own_null(context, fd)
        give_streams(self.uid)


def give_streams(uid: int) -> None:
    """Make a user the owner of the standard streams, so that it can reopen them.

    But for devices, and files that are only read: a file of the host's that is handed in as input
    would be the user's to write from then on.

    Raises: OSError.
    """
    for fd in (0, 1, 2):
        mode = os.fstat(fd).st_mode
        is_read = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        if stat.S_ISCHR(mode) or (is_read and not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))):
            continue
        try:
            os.fchown(fd, uid, -1)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPERM, errno.EROFS):
                raise


class OpenInput(NamedTuple):
    """Standard input from the container's own /dev/null."""

    def describe(self) -> str:
        return "open /dev/null"

    def prepare(self, context: Context) -> None:
        prepare_redirection(context, prepare_null_device(context, os.O_RDONLY), 0)


class SetHostname(NamedTuple):
    """Set the hostname of the UTS namespace."""

    name: str

    def describe(self) -> str:
        return f"set hostname {self.name}"

    def prepare(self, context: Context) -> None:
        name = self.name.encode()
        context.calls.add(SYS.sethostname, name, len(name))


class RaiseLoopback(NamedTuple):
    """Bring `lo` up in the private network namespace."""

    def describe(self) -> str:
        return "bring loopback up"

    def prepare(self, context: Context) -> None:
        net.bring_loopback_up(context.calls)


class SetRlimits(NamedTuple):
    """Set resource limits: [name without RLIMIT_, soft, hard], -1 for unlimited."""

    limits: list[list[Any]]

    def describe(self) -> str:
        return "set rlimits " + " ".join(
            f"{name}={soft}:{hard}" for name, soft, hard in self.limits
        )

    def execute(self, context: Context) -> None:
        for name, soft, hard in self.limits:
            try:
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (soft, hard))
            except ValueError as error:  # how the module reports EPERM and EINVAL
                number = errno.EPERM if "not allowed" in str(error) else errno.EINVAL
                raise OSError(number, f"rlimit {name}={soft}:{hard}: {error}") from error


class SetOomScore(NamedTuple):
    """Write oom_score_adj (proc(5))."""

    value: int

    def describe(self) -> str:
        return f"set oom_score_adj {self.value}"

    def execute(self, context: Context) -> None:
        write_procfs("/proc/self/oom_score_adj", str(self.value))


class ChangeDirectory(NamedTuple):
    """Enter the working directory, which must be inside the root (CVE-2024-21626).

    Before `Confine`, as a filter may forbid it; that enters what is open to the user alone.
    """

    path: str

    def describe(self) -> str:
        return f"enter working directory {self.path}"

    def prepare(self, context: Context) -> None:
        context.drop_anchors()  # or /proc/self/fd would lead to them
        context.calls.python(self._enter)

    def _enter(self, context: Context) -> None:
        try:
            _enter_directory(self.path)
        except PermissionError:
            context.closed_directory = self.path


def _enter_directory(path: str) -> None:
    os.chdir(path)
    try:
        os.getcwd()
    except FileNotFoundError as error:  # getcwd(2): the kernel finds no way there from `/`
        text = "it is outside of the container's root file system"
        raise OSError(errno.EXDEV, text, path) from error


def _enter_closed_directory(context: Context) -> None:
    if context.closed_directory is not None:
        _enter_directory(context.closed_directory)


class Confine(NamedTuple):
    """Become the user, keep the given capabilities alone, forbid new ones, filter system calls.

    `capabilities` are the bit masks of the effective, permitted, inheritable, bounding and
    ambient set. Descriptors but `preserved` ones from 3 on are marked to be closed at execve(2).
    What comes after this may meet the filter: no more system calls than it takes.
    """

    uid: int
    gid: int
    groups: list[int] | None
    capabilities: list[int]
    no_new_privileges: bool
    seccomp_filter: str
    seccomp_flags: int
    umask: int
    preserved: int = 0

    def describe(self) -> str:
        return f"become {self.uid}:{self.gid}"

    def prepare(self, context: Context) -> None:
        calls = context.calls
        process.close_on_exec_from(calls, 3 + self.preserved)
        if not self.no_new_privileges:  # seccomp(2) wants CAP_SYS_ADMIN then, still ours here
            _prepare_filter(context, self.seccomp_filter, self.seccomp_flags)
        effective, permitted, inheritable, bounding, ambient = self.capabilities
        capabilities.drop_bounding(calls, bounding)
        calls.add(SYS.prctl, process.PR_SET_KEEPCAPS, 1, 0, 0, 0)
        calls.add(SYS.umask, self.umask)
        if self.groups is not None:
            packed = struct.pack(f"={len(self.groups)}I", *self.groups)
            calls.add(SYS.setgroups, len(self.groups), packed)
        calls.add(SYS.setresgid, self.gid, self.gid, self.gid)
        calls.add(SYS.setresuid, self.uid, self.uid, self.uid)
        capabilities.set_capabilities(calls, effective, permitted, inheritable)
        capabilities.set_ambient(calls, ambient)
        calls.python(_enter_closed_directory)
        if self.no_new_privileges:
            Forbid(self.seccomp_filter, self.seccomp_flags).prepare(context)


class Forbid(NamedTuple):
    """Forbid new privileges and filter system calls: the part of `Confine` that needs no rights."""

    seccomp_filter: str
    seccomp_flags: int

    def describe(self) -> str:
        return "forbid new privileges"

    def prepare(self, context: Context) -> None:
        context.calls.add(SYS.prctl, process.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _prepare_filter(context, self.seccomp_filter, self.seccomp_flags)


def _prepare_filter(context: Context, encoded: str, flags: int) -> None:
    if encoded:
        program = binascii.a2b_base64(encoded)
        with context.calls.block() as installed:
            context.calls.python(partial(_filter_with_listener, program, flags), installed)
            seccomp.prepare_filter(context.calls, program, flags)


def _filter_with_listener(program: bytes, flags: int, context: Context) -> bool:
    """Install a filter with a listener, if there is one to be told; return whether."""
    if context.listener is None:
        return False
    pid = context.own_pid  # the host's number
    if not pid:
        pid = int(os.readlink("self", dir_fd=context.host_proc))
        os.close(context.host_proc)
    state = context.listener_message["state"]
    own = {"pid": pid, "state": state | {"pid": state["pid"] or pid}}
    said = json.dumps(context.listener_message | own).encode()
    fd = seccomp.install_filter(program, flags | seccomp.SECCOMP_FILTER_FLAG_NEW_LISTENER)
    socket.send_fds(context.listener, [said], [fd])
    os.close(fd)
    context.listener.close()  # one state for each connection
    return True


class Execute(NamedTuple):
    """Find the command on PATH and become it. Never returns."""

    argv: list[str]
    env: dict[str, str]

    def describe(self) -> str:
        return f"execute {self.argv[0]}"

    def execute(self, context: Context) -> None:
        path = self.find()
        for number in _IGNORABLE:  # by Python, or by whoever started us; the command must not
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        try:
            if context.trampoline >= 0:
                self._pass_through(context, path)
            os.execve(path, self.argv, self.env)
        except OSError as error:
            is_there = error.errno == errno.ENOENT and os.path.exists(path)
            text = failure_text(errno.ENOENT) if is_there else error.strerror
            raise OSError(error.errno, text, path) from error

    def _pass_through(self, context: Context, path: str) -> None:
        from reconciler.linux.trampoline import execute_through  # loaded before the root was left

        message = {"step": self.describe(), "kind": "Execute", "path": path}
        execute_through(context.trampoline, context.status_fd, message, path, self.argv, self.env)

    def find(self) -> str:
        """Return the file to execute, as execvp(3) would choose it. Raises: OSError."""
        name = self.argv[0]
        if "/" in name:
            return name
        failure = errno.ENOENT
        for directory in self.env.get("PATH", _EXEC_PATH_DEFAULT).split(":"):
            candidate = os.path.join(directory or ".", name)
            if os.path.isfile(candidate):
                if os.access(candidate, os.X_OK):
                    return candidate
                failure = errno.EACCES
        raise OSError(failure, os.strerror(failure), name)


STEPS = (
    Hide,
    JoinCgroups,
    UnshareCgroup,
    OpenOutput,
    DiscardOutput,
    KeepStreams,
    OpenInput,
    SetHostname,
    RaiseLoopback,
    SetRlimits,
    SetOomScore,
    ChangeDirectory,
    Confine,
    Forbid,
    Execute,
)
