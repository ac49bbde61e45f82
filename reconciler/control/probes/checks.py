"""One check of one probe: a command, an HTTP request, a connection. Bounded by its time-out.

Called by the desk, in one of several threads. It checks that it is the same run of the container
before and after, that it runs and is not paused; else nothing was found out.
"""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Callable
from functools import partial

from reconciler.control.commands import run_command
from reconciler.control.ports import ContainerPort, EnginePort
from reconciler.control.probes.net_checks import check_http, check_tcp
from reconciler.control.probes.targets import Target
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.quantity import format_duration
from reconciler.model.spec import NS, Probe
from reconciler.model.state import Status

_NOT_THE_CONTAINERS_FAULT = frozenset(
    {
        ErrorCode.MonitorLost,
        ErrorCode.MonitorUnavailable,
        ErrorCode.PermissionDenied,
        ErrorCode.NoSpace,
        ErrorCode.SystemError,
    }
)
# A container that ends takes a check with it, a moment before it is seen to have ended.
_END_PATIENCE_S = 0.2
_HOST_IS_SHORT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class NotCheckedError(Exception):
    """Nothing was found out: it does not run, is paused, or the host is in trouble."""


def run_check(engine: EnginePort, target: Target, probe: Probe) -> str | None:
    """Return why the check failed, as `connection refused`; None when it passed.

    Raises: NotCheckedError.
    """
    container = engine.handle(target.name)
    _ensure_runs(container, target)
    failure: str | None
    try:
        failure = _check(engine, container, probe, time.monotonic() + probe.timeout_ns / NS)
    except TimeoutError:
        failure = f"no answer within {format_duration(probe.timeout_ns)}"
    except OSError as error:
        if error.errno in _HOST_IS_SHORT_OF:
            raise NotCheckedError(str(error)) from error
        failure = (error.strerror or str(error)).lower()
    except ReconcilerError as error:
        if error.code in _NOT_THE_CONTAINERS_FAULT:
            raise NotCheckedError(str(error)) from error
        failure = str(error)
    _ensure_runs(container, target)
    return failure


def _check(
    engine: EnginePort, container: ContainerPort, probe: Probe, deadline: float
) -> str | None:
    """Do what the probe says. Raises: TimeoutError, OSError, ReconcilerError."""
    if probe.exec is not None:
        return _check_command(container, probe.exec, deadline)
    make_socket = partial(engine.make_socket, container.record)
    if probe.http is not None:
        return check_http(make_socket, probe.http, deadline)
    if probe.tcp is not None:
        return check_tcp(make_socket, probe.tcp, deadline)
    return _check_unix(partial(engine.connect_unix, container.record), probe.unix or "", deadline)


def _check_command(container: ContainerPort, argv: tuple[str, ...], deadline: float) -> str | None:
    result = run_command(container, argv, deadline - time.monotonic())
    is_killed = result.exit is not None and result.exit.signal == signal.SIGKILL
    if is_killed and container.wait(_END_PATIENCE_S) is not None:
        raise NotCheckedError("it has ended")  # and whatever ran in it was killed with it
    return None if result.is_success() else result.describe()


def _check_unix(connect: Callable[[str, float], None], path: str, deadline: float) -> str | None:
    try:
        connect(path, deadline - time.monotonic())
    except BlockingIOError as error:
        raise TimeoutError from error
    except OSError as error:
        return f"cannot connect to {path}: {(error.strerror or str(error)).lower()}"
    return None


def _ensure_runs(container: ContainerPort, target: Target) -> None:
    try:
        status = container.status()
    except ReconcilerError as error:
        raise NotCheckedError(str(error)) from error
    record = container.record
    if status is not Status.RUNNING or record.init is None:
        raise NotCheckedError(f"it is {status}")
    if (record.init.pid, record.started_at) != (target.pid, target.started_at):
        raise NotCheckedError("it has been started again")
