"""The C program that is the limit: compiles it, and writes its script from the engine's own plan.

The child's operations come from the steps of `Engine.make_launch_plan`, one for one. The
cgroup operations are those of the driver, recorded while it makes, limits and removes the
cgroups of a container; the files are those of a record. Left out is what only Python's
two processes need: the talk on the monitor's socket, and reading again what was written.
"""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconciler.cgroup import files
from reconciler.engine.container import Container
from reconciler.engine.engine import Engine
from reconciler.engine.store import STATE_FILE
from reconciler.linux.mount import MountFlag
from reconciler.linux.process import (
    PR_SET_DUMPABLE,
    PR_SET_KEEPCAPS,
    PR_SET_NO_NEW_PRIVS,
    CloneFlag,
)
from reconciler.monitor.steps import attributes, decode_steps, mounts, process, root

Operation = tuple[str | int, ...]
Operations = list[Operation]

_RUN_FILE = "run.json"


class Limit:
    """The running C program: `run(n)` is n containers, one after the other."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        self._program = program

    @property
    def pid(self) -> int:
        """The program's pid."""
        return self._program.pid

    def run(self, count: int) -> list[int]:
        """Return the nanoseconds of each. Raises: ChildProcessError."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(f"{count}\n")
        self._program.stdin.flush()
        lines = [self._program.stdout.readline() for _ in range(count)]
        if not all(lines):
            raise ChildProcessError("the C program has failed: see what it wrote above")
        return [int(line) for line in lines]


@contextlib.contextmanager
def make_limit(directory: Path, engine: Engine, container: Container) -> Iterator[Limit]:
    """Give a Limit that runs what `container` would be, in its place: it is destroyed here.

    `directory` is for program and script.
    """
    program, script, bpf = (str(directory / name) for name in ("limit", "script", "filter"))
    source = Path(__file__).with_name("limit.c")
    subprocess.run(["gcc", "-O2", "-Wall", "-o", program, source], check=True)
    operations, filter_program = make_script(engine, container)
    lines = ("\t".join(map(str, operation)) for operation in operations)
    Path(script).write_text("\n".join(lines), encoding="utf-8")
    Path(bpf).write_bytes(filter_program)
    with subprocess.Popen(
        [program, script, bpf], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        yield Limit(running)


def make_script(engine: Engine, container: Container) -> tuple[Operations, bytes]:
    """Run a container once to see what its files hold; return its script and seccomp filter."""
    plan = engine.make_launch_plan(container.record)
    with _recorded() as made:
        container.start()
    container.wait(30)
    directory = engine.store.directory(container.id)
    state, run = (files.read_text(f"{directory}/{name}") for name in (STATE_FILE, _RUN_FILE))
    with _recorded() as removed:
        container.destroy()
    steps = decode_steps(plan["steps"])
    confine = next(step for step in steps if isinstance(step, process.Confine))
    memory = container.record.cgroups.get("memory") or container.record.cgroups.get("unified")
    script = [
        *_create(directory, state),
        ("lock", directory),
        *[("read", f"{container.config.rootfs.path}/etc/{name}") for name in ("passwd", "group")],
        *made,
        ("clone", plan["cloneFlags"] | CloneFlag.PIDFD, plan["cgroupDir"] or ""),
        *[operation for step in steps for operation in _child(step)],
        ("end",),
        ("read_stat",),
        ("read", f"{memory}/memory.oom_control"),
        ("watch", f"{directory}/stdout", f"{directory}/stderr"),
        *_replace(f"{directory}/{_RUN_FILE}", run),
        ("await_exec",),
        ("unlock",),
        ("await_exit",),
        ("read", f"{memory}/memory.oom_control"),
        *_replace(f"{directory}/{_RUN_FILE}", run),
        ("lock", directory),
        *removed,
        *_remove(directory),
        ("unlock",),
    ]
    return script, base64.b64decode(confine.seccomp_filter)


@contextlib.contextmanager
def _recorded() -> Iterator[Operations]:
    """Record what is done to cgroup files meanwhile, in order."""
    operations: Operations = []
    originals = {name: getattr(files, name) for name in ("mkdir", "write_text", "read_text")}
    original_rmdir = os.rmdir

    def record(name: str, arguments: tuple[Any, ...]) -> Any:
        if name == "mkdir":
            operations.append(("mkdir", arguments[0], 0o755))
        else:
            operations.append((name.removesuffix("_text"), *arguments))
        return originals[name](*arguments)

    def record_rmdir(path: str) -> None:
        original_rmdir(path)  # busy at first, perhaps: then it is tried again
        if path.startswith("/sys/fs/cgroup/"):
            operations.append(("rmdir", path))

    try:
        for name in originals:
            setattr(files, name, lambda *arguments, name=name: record(name, arguments))
        setattr(os, "rmdir", record_rmdir)  # noqa: B010 - mypy knows that it is a function
        yield operations
    finally:
        for name, original in originals.items():
            setattr(files, name, original)
        setattr(os, "rmdir", original_rmdir)  # noqa: B010


def _create(directory: str, state: str) -> Operations:
    """Return the making of a record, as `Store.create` does it."""
    staging = f"{directory}.new"
    return [
        ("mkdir", staging, 0o700),
        *_replace(f"{staging}/{STATE_FILE}", state),
        ("mkfifo", f"{staging}/stdout"),
        ("mkfifo", f"{staging}/stderr"),
        ("rename", staging, directory),
    ]


def _replace(path: str, text: str) -> Operations:
    return [("new", f"{path}.tmp", text), ("rename", f"{path}.tmp", path)]


def _remove(directory: str) -> Operations:
    dead = f"{directory}.dead"
    names = ("stdout", "stderr", STATE_FILE, _RUN_FILE)
    unlinks = [("unlink", f"{dead}/{name}") for name in names]
    return [("rename", directory, dead), *unlinks, ("rmdir", dead)]


def _child(step: Any) -> Operations:
    """Return the system calls of a step. Raises: TypeError for one that is not known here."""
    for translate in (_root_step, _mount_step, _process_step, _last_step):
        operations = translate(step)
        if operations is not None:
            return operations
    raise TypeError(f"the C program cannot do {step!r} yet: teach limit.py and limit.c")


def _root_step(step: Any) -> Operations | None:
    match step:
        case root.DetachPropagation():
            return [("mount", "", "/", "", int(MountFlag.REC | MountFlag.SLAVE), "")]
        case root.CloneTree(key, path, recursive, add, clear):
            opened: Operation = ("open_tree", key, path, int(recursive))
            return [opened, ("tree_attributes", key, add, clear, int(recursive))]
        case root.SetTopWritable(key):
            return [("tree_attributes", key, 0, 1, 0)]
        case root.EnterRoot(str(key), staging):
            attach: Operation = ("attach_tree", key, staging)
            return [attach, ("chdir", staging), ("pivot_root",), ("chdir", "/")]
        case root.DetachMounts(paths):
            return [("detach", path) for path in paths]
        case root.SetRootReadonly():
            return [("path_attributes", "/", 1)]
        case _:
            return None


def _mount_step(step: Any) -> Operations | None:
    match step:
        case mounts.MakeTarget(path, is_directory):
            return [("target", path, int(is_directory))]
        case mounts.MountFs(fs_type, target, flags, data):
            return [("mount", fs_type, target, fs_type, flags, data or "")]
        case mounts.MakeDevices():
            return _devices()
        case mounts.MaskPaths(paths):
            return [("check_null", "/dev/null"), *[("mask", path) for path in paths]]
        case mounts.ReadonlyPaths(paths):
            return [("readonly", path) for path in paths]
        case _:
            return None


def _devices() -> Operations:
    nodes: Operations = []
    for name, major, minor in mounts._DEVICES:
        path = f"/dev/{name}"
        nodes += [("mknod", path, 0o666, major, minor), ("chmod", path, 0o666)]
    links: Operations = [("symlink", to, f"/dev/{name}") for name, to in mounts._DEVICE_LINKS]
    return nodes + links + [("mkdir", f"/dev/{name}", 0o755) for name in ("pts", "shm", "mqueue")]


def _process_step(step: Any) -> Operations | None:
    match step:
        case process.JoinCgroups(paths):
            return [("write", path, "0") for path in paths]
        case process.UnshareCgroup():
            return [("unshare", int(CloneFlag.NEWCGROUP))]
        case process.OpenOutput(stdout, stderr):
            opened: Operations = [("setsid",)]
            for path, fd in ((stdout, 1), (stderr, 2)):
                opened.append(("redirect", path, os.O_RDWR, fd))
            return opened
        case process.OpenInput():
            return [("redirect", "/dev/null", os.O_RDONLY, 0)]
        case process.SetHostname(name):
            return [("hostname", name)]
        case process.RaiseLoopback():
            return [("loopback",)]
        case _:
            return None


def _last_step(step: Any) -> Operations | None:
    match step:
        case process.Hide():
            return [("prctl", PR_SET_DUMPABLE, 0)]
        case attributes.NewKeyring():
            return [("keyring",)]
        case process.ChangeDirectory(path):
            return [("chdir", path)]
        case process.Confine():
            return _confine(step)
        case process.Execute(argv, env):
            variables: Operations = [("env", f"{key}={value}") for key, value in env.items()]
            last: Operations = [("default_signals",), ("close_range", 3)]
            return [*variables, *last, ("exec", step.find(), *argv)]
        case _:
            return None


def _confine(step: process.Confine) -> Operations:
    assert step.no_new_privileges
    effective, permitted, ambient, bounding, _ = step.capabilities
    assert effective == permitted == bounding
    return [
        ("drop_bounding", bounding),
        ("prctl", PR_SET_KEEPCAPS, 1),
        ("umask", step.umask),
        ("groups", *(step.groups or ())),
        ("identity", step.uid, step.gid),
        ("capabilities", permitted, ambient),
        ("prctl", PR_SET_NO_NEW_PRIVS, 1),
        ("seccomp",),
    ]
