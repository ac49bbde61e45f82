"""What a container's init is doing, by its record and the kernel; and signals to it.

Called by Container. Reads nothing of the record directory.
"""

from __future__ import annotations

import os
import select
import time

from reconciler.cgroup.driver import CgroupDriver
from reconciler.engine.failures import not_running
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import TYPE_CHECKING, signal
from reconciler.linux.clock import wall_s
from reconciler.linux.proc import is_same_process, read_boot_id
from reconciler.linux.signals import can_reach_init
from reconciler.model.record import Record
from reconciler.model.state import ExitStatus, Status

if TYPE_CHECKING:
    from reconciler.engine.direct import DirectLauncher
    from reconciler.engine.monitor_client import MonitorClient

_BY_FREEZER = {"freezing": Status.PAUSING, "frozen": Status.PAUSED}


def read_status(driver: CgroupDriver, record: Record) -> Status:
    """Return the run state of a record as the kernel shows it. Raises: SystemError."""
    init = record.init
    if init is None:
        return Status.CREATED
    if record.exit is not None or init.boot_id != read_boot_id():
        return Status.STOPPED
    if not is_same_process(init.pid, init.start_ticks):
        return Status.STOPPED
    try:
        return _BY_FREEZER.get(driver.freezer_state(record.cgroups), Status.RUNNING)
    except OSError as error:
        if driver.exists(record.cgroups):
            message = f"cannot read the freezer of {record.id}"
            raise from_os_error(error, message, container=record.id, operation="read") from error
        return Status.RUNNING  # nothing is frozen where there is no cgroup


def kill_all(driver: CgroupDriver, record: Record) -> None:
    """SIGKILL everything in the cgroup, and the init, which somebody may have moved out of it.

    Raises: SystemError; OSError.
    """
    driver.kill(record.cgroups)
    try:
        signal_init(record, signal.SIGKILL)
    except ReconcilerError as error:
        if error.code is not ErrorCode.ContainerNotRunning:
            raise


def await_killed(
    launcher: MonitorClient | DirectLauncher, record: Record, timeout_s: float
) -> ExitStatus | None:
    """Return how an init ended that was killed; None when it has not within the time.

    The monitor may know nothing of it, as its run file was damaged: then nobody knows how.

    Raises: ContainerNotRunning when there was no init; MonitorUnavailable, MonitorLost.
    """
    try:
        return launcher.wait(record.id, timeout_s)
    except ReconcilerError as error:
        if error.code is not ErrorCode.ContainerNotRunning or record.init is None:
            raise
    try:
        pidfd = os.pidfd_open(record.init.pid)
    except ProcessLookupError:
        return _unknown_exit()
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        is_same = is_same_process(record.init.pid, record.init.start_ticks)
        return None if is_same and not poller.poll(timeout_s * 1000) else _unknown_exit()
    finally:
        os.close(pidfd)


def _unknown_exit() -> ExitStatus:
    return ExitStatus(code=None, signal=None, oom=False, at=wall_s())


def signal_init(record: Record, number: int) -> None:
    """Send a signal to the init alone. Raises: ContainerNotRunning, SystemError."""
    init = record.init
    if init is None or record.exit is not None:
        raise not_running(record.id, "signal")
    try:
        pidfd = os.pidfd_open(init.pid)
        try:
            if not is_same_process(init.pid, init.start_ticks):
                raise not_running(record.id, "signal")
            signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)
    except ProcessLookupError as error:
        raise not_running(record.id, "signal") from error
    except OSError as error:
        message = f"cannot signal {record.id}"
        raise from_os_error(error, message, container=record.id) from error


def ask_to_end(
    launcher: MonitorClient | DirectLauncher,
    driver: CgroupDriver,
    record: Record,
    number: int,
    grace_ns: int,
) -> ExitStatus | None:
    """Send an init a signal and return how it ended; None when it has not within the grace.

    Without a handler for the signal it is not sent: the kernel would drop it.
    """
    init = record.init
    if init is None or number == signal.SIGKILL or grace_ns <= 0:
        return None
    deadline = time.monotonic() + grace_ns / 1e9
    if not can_reach_init(init.pid, number):
        return None
    signal_init(record, number)
    driver.thaw(record.cgroups)
    return launcher.wait(record.id, max(0.001, deadline - time.monotonic()))
