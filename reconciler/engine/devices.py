"""The devices of a container: which of the host's they are, and the rules that allow them.

Called by `limits`, `fresh_cgroup` and `listed_mounts`. Looks at the host's nodes alone.
"""

from __future__ import annotations

import os
import stat

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.model.frozen import replace
from reconciler.model.isolation import Device, DeviceRule, Isolation


def resolved_devices(isolation: Isolation) -> tuple[Device, ...]:
    """Return the devices with their numbers. Raises: ConfigInvalid for one that the host lacks."""
    return tuple(_resolved(index, one) for index, one in enumerate(isolation.devices))


def rules_of(isolation: Isolation) -> tuple[DeviceRule, ...] | None:
    """Return the rules of device access, those of its devices among them; None for the default.

    Raises: ConfigInvalid as `resolved_devices`.
    """
    own = tuple(
        DeviceRule(allow=True, type=one.type, major=one.major, minor=one.minor, access=one.access)
        for one in resolved_devices(isolation)
        if one.access is not None
    )
    if isolation.device_rules is None:
        return own or None
    return (*isolation.device_rules, *own)


def _resolved(index: int, device: Device) -> Device:
    if device.type:
        return device
    try:
        found = os.stat(device.path)
    except OSError as error:
        why = f"{error.strerror.lower()}; load its module" if error.strerror else "it is not there"
        raise _refused(index, device, why) from error
    if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        raise _refused(index, device, "it is no device; mount it")
    return replace(
        device,
        type="c" if stat.S_ISCHR(found.st_mode) else "b",
        major=os.major(found.st_rdev),
        minor=os.minor(found.st_rdev),
    )


def _refused(index: int, device: Device, why: str) -> ReconcilerError:
    field = f"devices[{index}].path"
    message = f"the host has no device {device.path}: {why}, or correct {field}"
    return ReconcilerError(ErrorCode.ConfigInvalid, message, path=device.path, field=field)
