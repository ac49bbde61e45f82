"""From a Config to the list of set-up steps: everything that is decided before the clone.

Called by Container.start. Checks what can be checked on the host first, so that a missing
rootfs, source or user is an error with a name and not a failed step.
"""

from __future__ import annotations

import os
import stat

from reconciler.engine import listed_mounts, setup_mounts, setup_namespaces, setup_process
from reconciler.engine.namespaces import mode_of
from reconciler.engine.own_mounts import covered_paths
from reconciler.engine.rootless import is_rootless
from reconciler.engine.setup_process import DEFAULT_PATH
from reconciler.engine.store import STREAMS
from reconciler.engine.users import Identity, look_up_user
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any, NamedTuple
from reconciler.model.config import Command, Config
from reconciler.model.frozen import replace
from reconciler.model.isolation import Hooks, Isolation, NamespaceMode
from reconciler.model.record import Record
from reconciler.monitor.steps import attributes, encode_steps, join, process, root


class Place(NamedTuple):
    """What the engine knows of the host for one start.

    `directory` is the record's; `hidden` are host directories that no container may see;
    `cgroup_dir` is the v2 cgroup to be born in, `join_files` the v1 cgroup.procs files;
    `mount_cgroup`: there is a cgroup2 with all controllers to be mounted. `is_direct`: whoever
    launches it has no logs; its standard streams are the container's.
    """

    directory: str
    state_dir: str
    hidden: tuple[str, ...]
    cgroup_dir: str | None
    join_files: list[str]
    mount_cgroup: bool
    is_direct: bool


def make_launch_plan(record: Record, place: Place) -> dict[str, Any]:
    """Return what the monitor needs to start the container, as JSON values.

    Raises: RootfsNotFound, MountSourceNotFound, UserNotFound, NotSupported, ConfigInvalid.
    """
    config = record.config
    return {
        "id": record.id,
        "directory": place.directory,
        "steps": encode_steps(_make_steps(record, place)),
        "hostSteps": [] if is_rootless() else encode_steps(_host_steps(record, place)),
        "cloneFlags": int(setup_namespaces.clone_flags(config)),
        "idMaps": setup_namespaces.id_maps(config),
        "joins": setup_namespaces.joins_of_clone(config),
        "cgroupDir": place.cgroup_dir,
        "cgroups": record.cgroups,
        "logStreams": list(STREAMS) if config.logs.is_kept and not place.is_direct else [],
        "logDir": os.path.join(place.state_dir, "logs", record.id),
        "logSize": config.logs.max_size_bytes,
        "logFiles": config.logs.max_files,
        "isAttended": not place.is_direct and needs_attendance(config.isolation),
    }


def _make_steps(record: Record, place: Place) -> list[Any]:
    """Return all steps of a start: outside, in the namespaces, in the root, the process."""
    config = record.config
    root = setup_mounts.find_root(config)
    identity = look_up_user(root, config.user_or_default(), config.groups)
    setup_namespaces.check_mapped(config, identity)
    if not (place.is_direct or record.cgroups):
        setup_namespaces.check_own_pids(config)
    steps: list[Any] = [process.JoinCgroups(place.join_files)] if place.join_files else []
    if config.logs.is_kept and not place.is_direct:
        stdout, stderr = (os.path.join(place.directory, name) for name in STREAMS)
        steps.append(process.OpenOutput(stdout, stderr))
    steps += setup_namespaces.namespace_steps(config)
    steps += setup_process.label_steps(config)
    steps += setup_process.listener_steps(record, config)
    if not place.is_direct:
        steps.append(attributes.NewKeyring())
    steps.append(process.Hide())
    if is_rootless():  # the launcher could open nothing in its own mount namespace
        steps += _host_steps(record, place)
    steps += _mount_steps(record, place)
    steps += _stream_steps(config, identity, is_direct=place.is_direct)
    if mode_of(config, "network") == NamespaceMode.PRIVATE:
        steps.append(process.RaiseLoopback())
    steps += setup_process.process_steps(record.id, config, identity)
    return steps if place.is_direct else _with_hooks(steps, config.isolation)


def _with_hooks(steps: list[Any], isolation: Isolation) -> list[Any]:
    """Return the steps of a start that the engine attends to, with its hooks in their places."""
    if not needs_attendance(isolation):
        return steps
    from reconciler.engine.hooks import has_start_hooks, rows_of, with_our_environment
    from reconciler.monitor.steps.hooks import AwaitEngine
    from reconciler.monitor.steps.launcher import RunHooks

    hooks, before, last = isolation.hooks, list[Any](), list[Any]()
    if has_start_hooks(isolation):
        before.append(AwaitEngine())
    if hooks.create_container:
        rows = rows_of(with_our_environment(hooks.create_container))
        before.append(RunHooks("createContainer", "creating", rows))
    if hooks.start_container:
        last.append(RunHooks("startContainer", "created", rows_of(hooks.start_container)))
    at = next(index for index, step in enumerate(steps) if isinstance(step, root.EnterRoot))
    return [*steps[:at], *before, *steps[at:-1], *last, steps[-1]]


def needs_attendance(isolation: Isolation) -> bool:
    """Tell whether the engine has something to do beside a start, or after the run."""
    return isolation.hooks != Hooks() or bool(isolation.net_devices)


def _host_steps(record: Record, place: Place) -> list[Any]:
    """Return what the launcher itself opens of the host, before the clone."""
    if record.config.isolation.mounts is None:
        return []
    return listed_mounts.make_host_steps(
        record.config,
        record.cgroups,
        directory=place.directory,
        overlay_dir=os.path.join(place.state_dir, "overlay", record.id),
        is_v2=place.mount_cgroup,
    )


def _mount_steps(record: Record, place: Place) -> list[Any]:
    parameters = setup_namespaces.parameter_steps(record.id, record.config)
    if record.config.isolation.mounts is not None:
        return listed_mounts.make_listed_steps(
            record.config,
            parameters,
            staging=_staging(record.config, place),
            cgroups=record.cgroups,
            is_v2=place.mount_cgroup,
        )
    if setup_namespaces.has_user_namespace(record.config):
        message = "a user namespace needs mounts that are listed (Isolation.mounts)"
        raise ReconcilerError(ErrorCode.NotSupported, message, field="isolation.namespaces.user")
    return parameters + setup_mounts.make_mount_steps(
        record.config,
        staging=place.directory,
        overlay_dir=os.path.join(place.state_dir, "overlay", record.id),
        hidden=place.hidden,
        mount_cgroup=place.mount_cgroup,
        cgroups=record.cgroups,
    )


def _staging(config: Config, place: Place) -> str:
    """Return where the root is attached until it is entered.

    Under its own name where hooks run before that: what they mount below it is in the container.
    So among the host's mounts too: what is left there must not be in a directory of ours.

    Raises: NotSupported.
    """
    path = config.rootfs.path
    if mode_of(config, "mount") == NamespaceMode.HOST:
        if path is None or not place.is_direct or setup_namespaces.has_user_namespace(config):
            message = "a container needs a mount namespace of its own, but for one that is started "
            message += "directly, with a root file system and no user namespace"
            raise ReconcilerError(ErrorCode.NotSupported, message, field="namespaces.mount")
        return path
    return (config.isolation.hooks.create_container and path) or place.directory


def make_exec_plan(
    record: Record,
    command: Command,
    *,
    cgroup_dir: str | None,
    join_files: list[str],
) -> dict[str, Any]:
    """Return what the monitor needs to run a further process in the container.

    The process gets the container's namespaces, cgroup, labels, capabilities and filter.

    Raises: UserNotFound, NotSupported.
    """
    init = record.init
    assert init is not None
    config = command.process or record.config
    identity = look_up_user(
        f"/proc/{init.pid}/root", command.user or config.user_or_default(), config.groups
    )
    flags = int(setup_namespaces.all_flags(record.config))
    enters_root = mode_of(record.config, "mount") == NamespaceMode.HOST
    steps: list[Any] = [process.JoinCgroups(join_files)] if join_files else []
    steps += [
        join.DropDescriptors(),
        *setup_process.label_steps(config),
        *setup_process.listener_steps(record, config),
        attributes.NewKeyring(),
        process.Hide(),
        join.JoinNamespaces(init.pid, init.start_ticks, flags, enters_root),
        *_joined_steps(record, _as_run(config, command), command, identity),
    ]
    return {"id": record.id, "steps": encode_steps(steps), "cgroupDir": cgroup_dir}


def _joined_steps(
    record: Record, config: Config, command: Command, identity: Identity
) -> list[Any]:
    """Return the steps of a process that has joined all namespaces but that of pids.

    It enters that one when it has become what it is to be: see `join`. A filter without
    no_new_privs is loaded with rights that nobody must get hold of, so before it too; but a filter
    may not let it fork, and where nobody inside may trace it goes in first.
    """
    fork: list[Any] = [join.ForkInside()]
    streams: Any = join.UseStreams()
    if command.terminal is not None:
        streams = join.OpenTerminal(*command.terminal, identity.uid)
        fork.append(join.TakeTerminal())
    *before, confine, execute = setup_process.process_steps(
        record.id, config, identity, is_further=True
    )
    if confine.no_new_privileges:
        forbid = process.Forbid(confine.seccomp_filter, confine.seccomp_flags)
        confine = confine._replace(no_new_privileges=False, seccomp_filter="")
        return [streams, *before, confine, *fork, forbid, execute]
    if not confine.seccomp_filter or setup_process.may_trace(record.config, config):
        return [streams, *before, confine, *fork, execute]
    return [fork[0], streams, *fork[1:], *before, confine, execute]


def _as_run(config: Config, command: Command) -> Config:
    """Return the Config of a further process: the container's with the command's own."""
    workdir = command.workdir or config.workdir
    return replace(config, command=command.argv, env=config.env | command.env, workdir=workdir)


def check_command(config: Config) -> None:
    """Refuse a command that the root file system does not have, or not as something to execute.

    What a mount or a writable layer may bring in is left to the start itself.

    Raises: CommandNotFound, CommandNotExecutable.
    """
    name = config.command[0]
    if "/" in name:
        candidates = [os.path.normpath(os.path.join(config.workdir, name))]
    else:
        path = config.env.get("PATH", DEFAULT_PATH)
        candidates = [os.path.join(directory or ".", name) for directory in path.split(":")]
    covered = tuple(f"{path.rstrip('/')}/" for path in covered_paths(config))
    if config.rootfs.overlay or any(f"{item}/".startswith(covered) for item in candidates):
        return
    root = setup_mounts.find_root(config)
    modes = [setup_mounts.mode_in_root(root, item) for item in candidates]
    known = [mode for mode in modes if mode is not None]
    if not known:
        where = "does not exist" if "/" in name else "is not on the PATH"
        message = f"the command {name} {where} inside the container"
        raise ReconcilerError(ErrorCode.CommandNotFound, message, path=name, field="command")
    if not any(stat.S_ISREG(mode) and mode & 0o111 for mode in known):
        message = f"the command {name} is not an executable file"
        raise ReconcilerError(ErrorCode.CommandNotExecutable, message, path=name, field="command")


def _stream_steps(config: Config, identity: Identity, *, is_direct: bool) -> list[Any]:
    """Return the steps for the standard streams, where the container's /dev is there."""
    if config.isolation.terminal is not None:
        return [attributes.OpenConsole(*config.isolation.terminal, identity.uid)]
    if is_direct:
        return [process.KeepStreams(identity.uid)]
    steps: list[Any] = [process.OpenInput()]
    return steps if config.logs.is_kept else [*steps, process.DiscardOutput()]
