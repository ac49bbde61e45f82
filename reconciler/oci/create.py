"""Make a container and its init from a bundle: what `create`, `run` and `restore` share."""

from __future__ import annotations

import os
import pwd

from reconciler.engine.container import Container
from reconciler.engine.direct import LaunchOptions
from reconciler.engine.engine import Engine
from reconciler.engine.hooks import rows_of, with_our_environment
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import NamedTuple, json, socket
from reconciler.model.config import Config
from reconciler.oci import cgroups
from reconciler.oci.bundle import Bundle
from reconciler.oci.hooks import run_poststop, runtime_hooks
from reconciler.oci.options import Values
from reconciler.oci.runtime import DISABLED, RESOURCES_NOTE, SCOPE_NOTE, SYSTEMD, Runtime
from reconciler.oci.shared_mounts import note_root, release_root
from reconciler.oci.translate import translate_bundle
from reconciler.oci.translate_process import refused_capabilities
from reconciler.oci.translate_resources import ignored_limits


class Launch(NamedTuple):
    """How the init starts: with `waits` it waits for `start`; `console_fd` -1: no terminal.

    `is_sealed`: we are a sealed copy of the interpreter.
    """

    waits: bool
    console_fd: int = -1
    is_sealed: bool = True


def translate(runtime: Runtime, bundle: Bundle, options: Values, *, needs_process: bool) -> Config:
    """Return the Config of the bundle. Raises: ConfigInvalid, NotSupported."""
    return translate_bundle(
        bundle,
        has_cgroups=runtime.cgroup_manager != DISABLED,
        no_pivot=options["no-pivot"],
        needs_process=needs_process,
    )


def make_container(
    runtime: Runtime,
    bundle: Bundle,
    config: Config,
    options: Values,
    container_id: str,
    launch: Launch,
) -> Container:
    """Create a container and start its init; `config` is the bundle's, translated.

    Writes the pid file. When something fails nothing is left, and the poststop hooks have run.

    Raises: NotSupported, IdInUse, what `Container.start` raises, HookFailed.
    """
    _warn(runtime, bundle)
    if runtime.cgroup_manager != SYSTEMD:
        container = _create(runtime, bundle, config, container_id)
        _start(runtime, container, options, launch)
        return container
    from reconciler.oci.systemd_scope import open_scope

    scope = open_scope(bundle.fields.child("linux"), container_id)
    try:
        runtime.engine.has_given_cgroups = True
        engine, notes = runtime.engine, {SCOPE_NOTE: scope.name}
        container = _record(engine, bundle, config, container_id, scope.cgroups, notes)
        _start(runtime, container, options, launch)
        scope.tell_limits()
    except BaseException:
        scope.end()
        raise
    scope.release()
    return container


def _start(runtime: Runtime, container: Container, options: Values, launch: Launch) -> None:
    """Start the init of a new container, or leave nothing of it."""
    hooks = container.config.isolation.hooks
    try:
        runtime.launcher.options = LaunchOptions(
            waits=launch.waits,
            console_fd=launch.console_fd,
            preserved=options["preserve-fds"],
            runtime_hooks=runtime_hooks(container),
            makes_keyring=not options["no-new-keyring"],
            container_hooks=rows_of(with_our_environment(hooks.create_container)),
            start_hooks=rows_of(hooks.start_container),
            uses_trampoline=not launch.is_sealed,
        )
        process = container.start()
        if options["pid-file"]:
            write_pid_file(options["pid-file"], process.pid)
        if options["pidfd-socket"]:
            send_pidfd(options["pidfd-socket"], process.pid)
    except BaseException:
        container.destroy()
        release_root(container)
        run_poststop(container, hooks.poststop, runtime.log)
        raise


def write_pid_file(path: str, pid: int) -> None:
    """Write a pid at once: no reader sees a part. Raises: SystemError and its kin."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}")
    try:
        with open(temporary, "w", encoding="ascii") as file:
            file.write(str(pid))
        os.rename(temporary, path)
    except OSError as error:
        raise from_os_error(error, f"cannot write the pid file {path}") from error


def send_pidfd(path: str, pid: int) -> None:
    """Send a pidfd over a unix socket, as runc does. Raises: SystemError and its kin."""
    try:
        pidfd = os.pidfd_open(pid)
        with connect_socket(path, "pidfd socket") as sock:
            socket.send_fds(sock, [b"pidfd"], [pidfd])
        os.close(pidfd)
    except OSError as error:
        raise from_os_error(error, f"cannot send a pidfd to {path}") from error


def check_terminal(has_terminal: bool, *, has_socket: bool) -> None:
    """Refuse a terminal that nobody gets, and a socket for none. Raises: ConfigInvalid."""
    if has_terminal and not has_socket:
        raise ReconcilerError(
            ErrorCode.ConfigInvalid,
            "cannot give a detached process a terminal without --console-socket: name a socket, "
            "or set process.terminal to false",
        )
    if has_socket and not has_terminal:
        raise ReconcilerError(
            ErrorCode.ConfigInvalid,
            "cannot use --console-socket: process.terminal is false",
        )


def connect_socket(path: str, kind: str = "console socket") -> socket.socket:
    """Return a connection to a unix socket. Raises: SystemError and its kin."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise from_os_error(error, f"cannot connect to the {kind} {path}") from error
    return sock


def _create(runtime: Runtime, bundle: Bundle, config: Config, container_id: str) -> Container:
    directories: dict[str, str] = {}
    engine = runtime.engine
    if runtime.cgroup_manager != DISABLED:
        linux = bundle.fields.child("linux")
        parent, below = cgroups.place(linux, container_id)
        if parent is not None:
            engine = runtime.engine_below(parent)
        directories = cgroups.directories(engine.driver.every_base_path(), below)
        if not os.path.lexists(engine.store.directory(container_id)):  # else the id is refused
            cgroups.check_empty(linux, engine.driver, directories)
    return _record(engine, bundle, config, container_id, directories)


def _record(
    engine: Engine,
    bundle: Bundle,
    config: Config,
    container_id: str,
    directories: dict[str, str],
    further: dict[str, str] | None = None,
) -> Container:
    """Make the container with its cgroup directories, and with further notes."""
    notes = {
        "oci.version": bundle.version,
        "oci.bundle": bundle.directory,
        "oci.rootfs": config.rootfs.path or "/",
        "oci.annotations": json.dumps(bundle.annotations),
        "oci.owner": _owner(),
        RESOURCES_NOTE: json.dumps(bundle.fields.child("linux").child("resources").data),
    }
    notes |= note_root(config) | (further or {})
    return engine.create(container_id, config, notes, directories)


def _owner() -> str:
    if os.geteuid() == 0:
        return "root"
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _warn(runtime: Runtime, bundle: Bundle) -> None:
    refused = refused_capabilities(bundle.fields.child("process"))
    if refused:
        what = "unknown here, or not ours to give"
        runtime.log.warning(f"cannot grant {', '.join(refused)}: {what}")
    for name in ignored_limits(bundle.fields.child("linux").child("resources")):
        runtime.log.warning(f"{name} is ignored: kernels no longer have this limit")
