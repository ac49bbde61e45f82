"""`exec`: a further process in a running container, as a child of the caller."""

from __future__ import annotations

import os

from reconciler.engine.container import Container
from reconciler.engine.direct import DirectProcess, LaunchOptions
from reconciler.engine.failures import SetupFailed, translate_setup_failure
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import ExitStack
from reconciler.model.config import Command
from reconciler.model.frozen import replace
from reconciler.model.record import Record
from reconciler.oci.create import check_terminal, connect_socket, send_pidfd, write_pid_file
from reconciler.oci.exec_process import make_process
from reconciler.oci.foreground import Foreground
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime, refuse
from reconciler.oci.translate_process import can_grant


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Run it; return its exit code, with --detach 0. Raises: as `Container.execute`."""
    container = runtime.load(arguments[0])
    _check_status(runtime.status(container), container.id, ignore_paused=options["ignore-paused"])
    refused = [name for name in options["cap"] if not can_grant(name)]
    if refused:
        what = "unknown here, or not ours to give"
        runtime.log.warning(f"cannot grant {', '.join(refused)}: {what}")
    command = make_process(container.config, options, arguments[1:])
    path, is_detached = options["console-socket"], options["detach"]
    if is_detached or path:
        check_terminal(command.terminal is not None, has_socket=bool(path))
    record = _placed(runtime, container, options["cgroup"])
    runtime.launcher.options = LaunchOptions(preserved=options["preserve-fds"])
    with ExitStack() as stack:
        foreground = None if is_detached else stack.enter_context(Foreground())
        streams = [0, 1, 2]
        if path:
            streams = [stack.enter_context(connect_socket(path)).fileno()]
        elif command.terminal is not None and foreground is not None:
            streams = [foreground.make_terminal()]
        process = stack.enter_context(_execute(runtime, record, command, streams))
        if options["pid-file"]:
            write_pid_file(options["pid-file"], process.pid)
        if options["pidfd-socket"]:
            send_pidfd(options["pidfd-socket"], process.pid)
        return 0 if foreground is None else foreground.attend(process.pid)


def _check_status(status: str, container_id: str, *, ignore_paused: bool) -> None:
    if status == "paused" and not ignore_paused:
        why = "cannot exec in a paused container; resume it, or use --ignore-paused"
        raise refuse(container_id, ErrorCode.ContainerPaused, "execute a command in", why)
    if status not in ("created", "running", "paused"):
        why = f"it is {status}"
        raise refuse(container_id, ErrorCode.ContainerNotRunning, "execute a command in", why)


def _execute(
    runtime: Runtime, record: Record, command: Command, streams: list[int]
) -> DirectProcess:
    plan = runtime.engine.make_exec_plan(record, command)
    try:
        return runtime.launcher.execute(plan, streams)
    except SetupFailed as failure:
        raise translate_setup_failure(failure, record, command) from failure


def _placed(runtime: Runtime, container: Container, places: list[str]) -> Record:
    """Return the record with the cgroups that the process is to join: `PATH` or `NAME,..:PATH`."""
    record = container.record
    cgroups = dict(record.cgroups)
    for place in places:
        names, colon, path = place.rpartition(":")
        for name in names.split(",") if colon else list(cgroups):
            if name not in cgroups:
                message = f"cannot use --cgroup {place}: the container has no {name} cgroup"
                raise ReconcilerError(ErrorCode.ConfigInvalid, message, container=record.id)
            cgroups[name] = os.path.normpath(f"{record.cgroups[name]}/{path}")
            inside = f"{cgroups[name]}/".startswith(f"{record.cgroups[name]}/")
            if not inside or not os.path.isdir(cgroups[name]):
                message = f"cannot use --cgroup {place}: the container has no cgroup {path}"
                raise ReconcilerError(ErrorCode.ConfigInvalid, message, container=record.id)
    return replace(record, cgroups=cgroups) if places else record
