"""Sockets that reach into a container: of its network, and at a path in its root.

Called by Engine, for probes. Root reaches them itself. An ordinary user must enter the container's
user namespace first, which no thread among others can (setns(2)): a child of the monitor does.
"""

from __future__ import annotations

import os

from reconciler.engine.failures import SetupFailed
from reconciler.engine.rootless import is_rootless
from reconciler.lean import TYPE_CHECKING, socket
from reconciler.linux import sockets
from reconciler.linux.process import CloneFlag
from reconciler.linux.unix_sockets import connect_unix_in_root_of
from reconciler.model.record import Record
from reconciler.model.state import ProcessId
from reconciler.monitor.steps import Step, encode_steps, join

if TYPE_CHECKING:
    from reconciler.engine.direct import DirectLauncher
    from reconciler.engine.monitor_client import MonitorClient

    Launcher = MonitorClient | DirectLauncher


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
            _run_inside(launcher, record, flags, join.SendSocket(family), [theirs.fileno()])
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
        _run_inside(launcher, record, CloneFlag.NEWUSER, step, [])
    else:
        connect_unix_in_root_of(pid, path, timeout_s)


def _run_inside(
    launcher: Launcher, record: Record, flags: CloneFlag, step: Step, streams: list[int]
) -> None:
    """Have a child of the monitor take one step in namespaces of the init's. Raises: OSError."""
    init = _init_of(record)
    steps = [
        join.DropDescriptors(),
        join.JoinNamespaces(init.pid, init.start_ticks, int(flags)),
        join.ForkInside(),
        step,
    ]
    plan = {"id": record.id, "steps": encode_steps(steps), "cgroupDir": None}
    try:
        launcher.execute(plan, streams).close()
    except SetupFailed as failure:
        text = failure.text if failure.errno == 0 else os.strerror(failure.errno)
        raise OSError(failure.errno, text, failure.path) from failure


def _init_of(record: Record) -> ProcessId:
    assert record.init is not None
    return record.init
