"""Limits of a container that has cgroups: changed as a whole, and back again when it fails.

Called by Container and Engine. The cgroup drivers know how each limit is written and read back.
"""

from __future__ import annotations

import os

from reconciler.cgroup.canonical import Only
from reconciler.cgroup.driver import CgroupDriver
from reconciler.cgroup.readings import recorded
from reconciler.engine.failures import about
from reconciler.engine.store import LimitsRead
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import TYPE_CHECKING, Iterator, contextmanager
from reconciler.linux.proc import is_first_user_namespace
from reconciler.model.config import Config, Resources
from reconciler.model.record import Record
from reconciler.model.value import Value

if TYPE_CHECKING:
    from reconciler.engine.engine import Engine

_HOW_DEVICES = "mount cgroup2 and keep CAP_BPF and CAP_NET_ADMIN, or mount v1's devices hierarchy"


@contextmanager
def changed_limits(
    driver: CgroupDriver, record: Record, resources: Resources, only: Only = None
) -> Iterator[None]:
    """Have other limits in force; the record's again when what is done meanwhile fails.

    `only` these fields are changed, None: all that differ.

    Raises: LimitNotApplied, SystemError; then no limit has changed.
    """
    former = record.config.resources
    _apply(driver, record, resources, former, only)
    try:
        yield
    except ReconcilerError as error:
        try:
            _apply(driver, record, former, resources, only)
        except ReconcilerError as second:
            error.add_note(f"and the former limits cannot be put back: {second}")
        raise


def check_devices(driver: CgroupDriver, config: Config) -> None:
    """Refuse what is not safe without control over devices, where there is none.

    An ordinary user's processes can make no nodes and open what the user may open: rules are not
    enforced for them.

    Raises: NotSupported, LimitNotSupported.
    """
    if driver.device_control is not None or os.geteuid() != 0:
        return
    if "MKNOD" in config.security.capabilities:
        raise ReconcilerError(
            ErrorCode.NotSupported,
            "the capability MKNOD is refused: without control over devices, of which this host's "
            f"cgroups have none, it opens the host's disks; {_HOW_DEVICES}, or bind mount the "
            "device that is needed instead",
            field="security.capabilities",
        )
    if config.isolation.device_rules and is_first_user_namespace():
        raise ReconcilerError(
            ErrorCode.LimitNotSupported,
            "cannot enforce linux.resources.devices: this host's cgroups have no control over "
            f"devices; {_HOW_DEVICES}",
            field="linux.resources.devices",
        )


def _apply(
    driver: CgroupDriver,
    record: Record,
    wanted: Resources,
    former: Resources,
    only: Only,
) -> None:
    if not driver.exists(record.cgroups):
        return
    try:
        with about(record.id, "update"):
            driver.apply(record.cgroups, wanted, former, only)
    except OSError as error:
        message = f"cannot set the limits of {record.id}"
        raise from_os_error(error, message, container=record.id, operation="update") from error


def read_limits(engine: Engine, record: Record) -> dict[str, Value]:
    """Return the limits in force, as the kernel shows them. Raises: OSError."""
    known = engine.store.limits_read.get(record.id)
    if known is None or known.record is not record or not known.readings.are_same():
        with recorded() as readings:
            limits = engine.driver.read_limits(record.cgroups, record.config.resources)
        engine.store.limits_read[record.id] = known = LimitsRead(record, readings, limits)
    return dict(known.limits)
