"""Capabilities: their names and numbers, and the five sets of the calling thread.

Called by the monitor's set-up steps and by the engine. It may not decide who gets what.
Sources: capabilities(7), capset(2), include/uapi/linux/capability.h.
"""

from __future__ import annotations

import struct

from reconciler.lean import Iterable, NamedTuple, cache
from reconciler.linux.calls import SYS, Calls
from reconciler.linux.proc import read_file

# In the kernel's order, without CAP_: CHOWN is 0, CHECKPOINT_RESTORE (Linux 5.9) is 40.
NAMES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID"),
    *("SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST"),
    *("NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO"),
    *("SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE"),
    *("AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM"),
    *("BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)
NUMBERS = {name: number for number, name in enumerate(NAMES)}

_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4


class CapabilitySets(NamedTuple):
    """The sets of a thread as bit masks (bit n is capability n)."""

    effective: int
    permitted: int
    inheritable: int
    bounding: int
    ambient: int


def mask_of(names: Iterable[str]) -> int:
    """Return the bit mask of capabilities named without CAP_. Raises: KeyError."""
    mask = 0
    for name in names:
        mask |= 1 << NUMBERS[name]
    return mask


@cache
def last_cap() -> int:
    """Return the number of the running kernel's last capability, read once. Raises: OSError."""
    return int(read_file("/proc/sys/kernel/cap_last_cap"))


def read_own() -> CapabilitySets:
    """Return the sets of the calling thread (proc(5), status). Raises: OSError."""
    status = read_file("/proc/thread-self/status").decode(errors="replace")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    names = ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")
    return CapabilitySets(*(int(fields[name], 16) for name in names))


def set_capabilities(calls: Calls, effective: int, permitted: int, inheritable: int) -> None:
    """Add to `calls` what sets three sets of the caller, as bit masks (capset(2))."""
    header = struct.pack("=Ii", _LINUX_CAPABILITY_VERSION_3, 0)
    sets = (effective, permitted, inheritable)
    low, high = [mask & 0xFFFFFFFF for mask in sets], [mask >> 32 for mask in sets]
    calls.add(SYS.capset, header, struct.pack("=6I", *low, *high))


def drop_bounding(calls: Calls, keep_mask: int) -> None:
    """Add to `calls` what drops all but `keep_mask` from the bounding set, unknown ones too.

    Needs CAP_SETPCAP. Raises: OSError where the kernel does not tell how many it has.
    """
    for number in range(last_cap() + 1):
        if not keep_mask >> number & 1:
            calls.add(SYS.prctl, _PR_CAPBSET_DROP, number, 0, 0, 0)


def set_ambient(calls: Calls, mask: int) -> None:
    """Add to `calls` what makes `mask` the ambient set: each permitted and inheritable."""
    calls.add(SYS.prctl, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for number in range(mask.bit_length()):
        if mask >> number & 1:
            calls.add(SYS.prctl, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0)
