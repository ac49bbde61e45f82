"""Limits of a container that has cgroups: changed as a whole, and back again when it fails.

Called by Container. The cgroup drivers know how each limit is written and read back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from reconciler.cgroup.driver import CgroupDriver
from reconciler.engine.failures import about
from reconciler.errors import ReconcilerError, from_os_error
from reconciler.model.config import Resources
from reconciler.model.record import Record


@contextlib.contextmanager
def changed_limits(driver: CgroupDriver, record: Record, resources: Resources) -> Iterator[None]:
    """Have other limits in force; the record's again when what is done meanwhile fails.

    Raises: LimitNotApplied, SystemError; then no limit has changed.
    """
    former = record.config.resources
    _apply(driver, record, resources, former)
    try:
        yield
    except ReconcilerError as error:
        try:
            _apply(driver, record, former, resources)
        except ReconcilerError as second:
            error.add_note(f"and the former limits cannot be put back: {second}")
        raise


def _apply(driver: CgroupDriver, record: Record, wanted: Resources, former: Resources) -> None:
    if not driver.exists(record.cgroups):
        return
    try:
        with about(record.id, "update"):
            driver.apply(record.cgroups, wanted, former)
    except OSError as error:
        message = f"cannot set the limits of {record.id}"
        raise from_os_error(error, message, container=record.id, operation="update") from error
