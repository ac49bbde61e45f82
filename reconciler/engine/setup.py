"""From a Config to the list of set-up steps: everything that is decided before the clone.

Called by Container.start. Checks what can be checked on the host first, so that a missing
rootfs, source or user is an error with a name and not a failed step.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from reconciler.engine import setup_mounts
from reconciler.engine.seccomp_profile import default_filter
from reconciler.engine.users import Identity, look_up_user
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux import capabilities
from reconciler.linux.process import CloneFlag
from reconciler.model.config import Command, Config, NetworkMode, SeccompMode
from reconciler.model.record import Record
from reconciler.monitor.steps import encode_steps, join, process

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_JOINED = CloneFlag.NEWNET | CloneFlag.NEWCGROUP
_NAMESPACES = CloneFlag.NEWPID | CloneFlag.NEWNS | CloneFlag.NEWUTS | CloneFlag.NEWIPC


def make_launch_plan(
    record: Record,
    *,
    directory: str,
    state_dir: str,
    hidden: tuple[str, ...],
    cgroup_dir: str | None,
    join_files: list[str],
    mount_cgroup: bool,
) -> dict[str, Any]:
    """Return what the monitor needs to start the container, as JSON values.

    `directory` is the record's; `hidden` are host directories that no container may see;
    `cgroup_dir` is the v2 cgroup to be born in, `join_files` the v1 cgroup.procs files.

    Raises: RootfsNotFound, MountSourceNotFound, UserNotFound, NotSupported, ConfigInvalid.
    """
    config = record.config
    root = setup_mounts.find_root(config)
    identity = look_up_user(root, config.user_or_default(), config.groups)
    flags = _NAMESPACES
    if config.network is NetworkMode.NONE:
        flags |= CloneFlag.NEWNET
    steps = _outer_steps(config, identity, directory, join_files)
    steps += setup_mounts.make_mount_steps(
        config,
        staging=directory,
        overlay_dir=os.path.join(state_dir, "overlay", record.id),
        hidden=hidden,
        mount_cgroup=mount_cgroup,
    )
    steps += _process_steps(record.id, config, identity)
    return {
        "id": record.id,
        "directory": directory,
        "steps": encode_steps(steps),
        "cloneFlags": int(flags),
        "cgroupDir": cgroup_dir,
        "cgroups": record.cgroups,
        "logDir": os.path.join(state_dir, "logs", record.id),
        "logSize": config.logs.max_size_bytes,
        "logFiles": config.logs.max_files,
    }


def make_exec_plan(
    record: Record,
    command: Command,
    *,
    cgroup_dir: str | None,
    join_files: list[str],
) -> dict[str, Any]:
    """Return what the monitor needs to run a further process in the container.

    The process gets the container's namespaces, cgroup, capabilities and filter.

    Raises: UserNotFound, NotSupported.
    """
    config, init = record.config, record.init
    assert init is not None
    user = command.user or config.user_or_default()
    identity = look_up_user(f"/proc/{init.pid}/root", user, config.groups)
    steps: list[Any] = [process.JoinCgroups(join_files)] if join_files else []
    steps += [
        join.DropDescriptors(),
        join.JoinNamespaces(init.pid, init.start_ticks, int(_NAMESPACES | _JOINED)),
        join.ForkInside(),
        join.UseStreams() if command.terminal is None else join.OpenTerminal(*command.terminal),
        *_limit_steps(config),
        _confine(config, identity),
        process.ChangeDirectory(command.workdir or config.workdir),
        process.Execute(
            list(command.argv), _environment(record.id, config, identity) | command.env
        ),
    ]
    return {"id": record.id, "steps": encode_steps(steps), "cgroupDir": cgroup_dir}


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
    covered = tuple(f"{path.rstrip('/')}/" for path in setup_mounts.covered_paths(config))
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


def _outer_steps(
    config: Config, identity: Identity, directory: str, join_files: list[str]
) -> list[Any]:
    """Return what must be done while the host's file system is still there."""
    stdout, stderr = (os.path.join(directory, name) for name in ("stdout", "stderr"))
    steps: list[Any] = [process.JoinCgroups(join_files)] if join_files else []
    steps.append(process.OpenOutput(stdout, stderr, identity.uid, identity.gid))
    if config.oom_score_adj is not None:
        steps.append(process.SetOomScore(config.oom_score_adj))
    return [*steps, process.UnshareCgroup()]


def _process_steps(container_id: str, config: Config, identity: Identity) -> list[Any]:
    """Return what is done inside, from the hostname to the command."""
    steps: list[Any] = [
        process.OpenInput(),
        process.SetHostname(config.hostname or container_id),
    ]
    if config.network is NetworkMode.NONE:
        steps.append(process.RaiseLoopback())
    return [
        *steps,
        *_limit_steps(config),
        _confine(config, identity),
        process.ChangeDirectory(config.workdir),
        process.Execute(list(config.command), _environment(container_id, config, identity)),
    ]


def _limit_steps(config: Config) -> list[Any]:
    if not config.rlimits:
        return []
    limits = [
        [item.type, *(-1 if value is None else value for value in (item.soft, item.hard))]
        for item in config.rlimits
    ]
    return [process.SetRlimits(limits)]


def _confine(config: Config, identity: Identity) -> process.Confine:
    return process.Confine(
        identity.uid,
        identity.gid,
        list(identity.groups),
        _capability_mask(config.security.capabilities),
        config.security.no_new_privileges,
        _seccomp_filter(config),
    )


def _environment(container_id: str, config: Config, identity: Identity) -> dict[str, str]:
    hostname = config.hostname or container_id
    return {"PATH": DEFAULT_PATH, "HOME": identity.home, "HOSTNAME": hostname} | config.env


def _capability_mask(names: tuple[str, ...]) -> int:
    """Return the bit mask. Raises: NotSupported for what kernel or engine cannot give safely."""
    mask = 0
    for name in names:
        number = capabilities.NUMBERS[name]
        if name == "MKNOD":
            raise _unsupported(
                "the capability MKNOD is refused: without control over devices it opens the host's "
                "disks; bind mount the device that is needed instead"
            )
        if number > capabilities.last_cap():
            raise _unsupported(f"this kernel does not know the capability {name}")
        mask |= 1 << number
    return mask


def _seccomp_filter(config: Config) -> str:
    import base64
    import platform

    if config.security.seccomp is SeccompMode.UNCONFINED:
        return ""
    program = default_filter(frozenset(config.security.capabilities), platform.machine())
    return base64.b64encode(program).decode()


def _unsupported(message: str) -> ReconcilerError:
    return ReconcilerError(ErrorCode.NotSupported, message, field="security.capabilities")
