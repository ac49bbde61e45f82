"""What a container's init is doing, by its record and the kernel; and signals to it.

Called by Container. Reads nothing of the record directory.
"""

from __future__ import annotations

import os

from reconciler.cgroup.driver import CgroupDriver
from reconciler.engine.failures import not_running
from reconciler.errors import from_os_error
from reconciler.lean import signal
from reconciler.linux.proc import is_same_process, read_boot_id
from reconciler.model.record import Record
from reconciler.model.state import Status

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
