"""What reaches into a container that runs: sockets of its network or at a path in its root, and
what is set again in its namespaces.

Called by Engine, for probes and for what was changed behind its back. Root makes sockets itself. An
ordinary user must enter the container's user namespace first, which no thread among others can
(setns(2)): a child of the monitor does. It sets things for root too, by the steps of the start: the
daemon may be confined.
"""

from __future__ import annotations

import errno
import os

from reconciler.engine.failures import SetupFailed
from reconciler.engine.namespaces import dotted_name
from reconciler.engine.own_mounts import option_words
from reconciler.engine.rootless import is_rootless
from reconciler.lean import TYPE_CHECKING, Collection, socket
from reconciler.linux import sockets
from reconciler.linux.mount import MountAttr
from reconciler.linux.process import CloneFlag
from reconciler.linux.unix_sockets import connect_unix_in_root_of
from reconciler.model.config import Config
from reconciler.model.record import Record
from reconciler.model.state import ProcessId
from reconciler.monitor.steps import Step, attributes, encode_steps, join, listed, mounts, process

if TYPE_CHECKING:
    from reconciler.engine.direct import DirectLauncher
    from reconciler.engine.monitor_client import MonitorClient

    Launcher = MonitorClient | DirectLauncher

_ATTRIBUTES = {
    "ro": MountAttr.RDONLY,
    "nosuid": MountAttr.NOSUID,
    "nodev": MountAttr.NODEV,
    "noexec": MountAttr.NOEXEC,
}


def make_socket(launcher: Launcher, record: Record, family: int) -> int:
    """Return the descriptor of a TCP socket in the network of a container that runs.

    Raises: OSError; MonitorUnavailable, MonitorLost.
    """
    init = _init_of(record)
    if not is_rootless() or sockets.is_in_network_of(init.pid):
        return sockets.make_socket_in_network_of(init.pid, family)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            flags = CloneFlag.NEWUSER | CloneFlag.NEWNET
            _run_inside(launcher, record, flags, [join.SendSocket(family)], [theirs.fileno()])
        _, fds, _, _ = socket.recv_fds(ours, 16, 1)
    if not fds:
        raise ProcessLookupError(3, "it ended before it had a socket")
    return fds[0]


def connect_unix(launcher: Launcher, record: Record, path: str, timeout_s: float) -> None:
    """Connect to a Unix socket in the root of a container that runs, and hang up.

    Raises: OSError (as `connect_unix_in_root_of`); MonitorUnavailable, MonitorLost.
    """
    pid = _init_of(record).pid
    if is_rootless():
        step = join.ConnectUnix(pid, path, timeout_s)
        _run_inside(launcher, record, CloneFlag.NEWUSER, [step], [])
    else:
        connect_unix_in_root_of(pid, path, timeout_s)


def restore(launcher: Launcher, record: Record, fields: Collection[str]) -> None:
    """Set again what the Config of a container that runs says of `fields`.

    These are `domainname`, kernel parameters `sysctl.NAME`, and mounts: `mounts.TARGET`,
    `maskedPaths.PATH`, `readonlyPaths.PATH`, `rootfs.readonly` and below it `.PATH`.

    Raises: OSError with the path; MonitorUnavailable, MonitorLost.
    """
    isolation = record.config.isolation
    steps: list[Step] = []
    if "domainname" in fields and isolation.domainname is not None:
        steps.append(attributes.SetDomainname(isolation.domainname))
    steps += [
        attributes.WriteSysctls([[dotted_name(name), value]])
        for name, value in isolation.sysctl.items()
        if f"sysctl.{name}" in fields
    ]
    of_user = CloneFlag.NEWUSER if is_rootless() else CloneFlag(0)
    flags = CloneFlag.NEWUTS | CloneFlag.NEWIPC | CloneFlag.NEWNET | of_user
    runs = [(flags, step) for step in steps]
    runs += [(CloneFlag.NEWNS | of_user, step) for step in _mount_steps(record.config, fields)]
    failures = []
    for flags, step in runs:
        try:
            _run_inside(launcher, record, flags, [step, join.End()], [])
        except OSError as error:
            failures.append(error)  # what cannot be had holds back nothing else
    if failures:
        raise failures[0]


def _mount_steps(config: Config, fields: Collection[str]) -> list[Step]:
    steps: list[Step] = []
    for path in sorted(fields):
        field, _, place = path.partition("./")
        if field == "rootfs.readonly":
            steps.append(listed.ChangeMount(f"/{place}", int(MountAttr.RDONLY), 0, False))
        elif field == "maskedPaths":
            steps.append(mounts.MaskPaths([f"/{place}"]))
        elif field == "readonlyPaths":
            steps.append(mounts.ReadonlyPaths([f"/{place}"]))
        elif field == "mounts":
            (mount,) = (one for one in config.mounts if one.target == f"/{place}")
            words = option_words(mount)
            add = sum(int(_ATTRIBUTES[word]) for word, is_set in words.items() if is_set)
            clear = sum(int(_ATTRIBUTES[word]) for word, is_set in words.items() if not is_set)
            steps.append(listed.ChangeMount(mount.target, add, clear, False))
    return steps


def _run_inside(
    launcher: Launcher, record: Record, flags: CloneFlag, last: list[Step], streams: list[int]
) -> None:
    """Have a child of the monitor take steps in namespaces of the init's. Raises: OSError."""
    init = _init_of(record)
    steps = [
        join.DropDescriptors(),
        process.Hide(),
        join.JoinNamespaces(init.pid, init.start_ticks, int(flags)),
        join.ForkInside(),
        *last,
    ]
    plan = {"id": record.id, "steps": encode_steps(steps), "cgroupDir": None}
    try:
        launcher.execute(plan, streams).close()
    except SetupFailed as failure:
        text = failure.text if failure.errno == 0 else os.strerror(failure.errno)
        if failure.errno == errno.EBUSY:
            text = f"a file is open there to write; `reconciler restart {record.id}` closes it"
        raise OSError(failure.errno, text, failure.path) from failure


def _init_of(record: Record) -> ProcessId:
    assert record.init is not None
    return record.init
