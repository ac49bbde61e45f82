"""Block devices as cgroup files name them: `MAJ:MIN`. For `canonical` and io controllers."""

from __future__ import annotations

import os
import stat

from reconciler.cgroup import files
from reconciler.lean import ASCII, pattern

_NUMBER = pattern(r"[0-9]+:[0-9]+", ASCII)


def device_number(device: str) -> str:
    """Return `MAJ:MIN` for a path such as `/dev/vda`, or for itself.

    Raises: OSError when there is no such file; ValueError when it is no block device.
    """
    if _NUMBER.fullmatch(device):
        return device
    status = os.stat(device)
    if not stat.S_ISBLK(status.st_mode):
        raise ValueError(f"{device} is not a block device")
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def trouble_with(device: str, sys_dev_block: str = "/sys/dev/block") -> str | None:
    """Return why a device cannot be throttled: `MAJ:MIN`, or a path that led nowhere."""
    if not _NUMBER.fullmatch(device):
        return f"{device} is not a block device of this host"
    if not files.exists(f"{sys_dev_block}/{device}"):
        return f"there is no block device {device}"
    if files.exists(f"{sys_dev_block}/{device}/partition"):
        return f"{device} is a partition; the kernel throttles whole disks"
    return None


def trouble_with_bfq(device: str, sys_dev_block: str = "/sys/dev/block") -> str | None:
    """Return why a device (`MAJ:MIN`, or a path that led nowhere) cannot have a weight of BFQ's."""
    trouble = trouble_with(device, sys_dev_block)
    if trouble is not None:
        return trouble
    schedulers = files.read_optional(f"{sys_dev_block}/{device}/queue/scheduler") or "none"
    return None if "[bfq]" in schedulers else f"{device} does not use the bfq I/O scheduler"
