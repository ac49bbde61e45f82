"""Which devices the processes of a cgroup may open and make nodes of: a BPF program, or v1.

Called by the drivers. A node is made of any device by default and opened of the harmless ones;
a container's rules come first and the default list last, as runc has it, so that no rule takes
/dev/null away. Source: runtime-spec config-linux.md (Allowed Device list), kernel:
admin-guide/cgroup-v1/devices.rst, cgroup-v2.rst ("Device controller").
"""

from __future__ import annotations

import errno
import os

from reconciler.cgroup import files
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Iterable
from reconciler.linux import bpf
from reconciler.model.isolation import DeviceRule

_HARMLESS = (
    *((1, 3), (1, 5), (1, 7), (1, 8), (1, 9)),  # null, zero, full, random, urandom
    *((5, 0), (5, 1), (5, 2), (136, None)),  # tty, console, ptmx, the terminals of devpts
)
DEFAULT_RULES = (
    DeviceRule(allow=True, type="c", access="m"),
    DeviceRule(allow=True, type="b", access="m"),
    *(DeviceRule(allow=True, type="c", major=major, minor=minor) for major, minor in _HARMLESS),
)
_TYPES = {"a": None, "b": bpf.BPF_DEVCG_DEV_BLOCK, "c": bpf.BPF_DEVCG_DEV_CHAR}
_ACCESS = {
    "r": bpf.BPF_DEVCG_ACC_READ,
    "w": bpf.BPF_DEVCG_ACC_WRITE,
    "m": bpf.BPF_DEVCG_ACC_MKNOD,
}

_Key = tuple[str, int | None, int | None]


def has_bpf(directory: str) -> bool:
    """Tell whether we may attach programs to cgroups below a v2 directory."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        bpf.query_device_programs(fd)
    except OSError as error:
        # EPERM: no CAP_BPF and CAP_NET_ADMIN; EINVAL, ENOSYS: no CONFIG_CGROUP_BPF
        if error.errno not in (errno.EPERM, errno.EINVAL, errno.ENOSYS):
            raise
        return False
    finally:
        os.close(fd)
    return True


def attach(directory: str, rules: Iterable[DeviceRule]) -> None:
    """Put a container's cgroup v2 under rules and the default list. Raises: OSError."""
    _attach(directory, (*rules, *DEFAULT_RULES), is_default=False)


def attach_default(directory: str) -> None:
    """Put all cgroups below one of v2 under the default list, unless they have their own rules.

    Done once: it costs a start as much as all its mounts to have a program verified.

    Raises: OSError.
    """
    _attach(directory, DEFAULT_RULES, is_default=True)


def _attach(directory: str, rules: tuple[DeviceRule, ...], *, is_default: bool) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if is_default and bpf.query_device_programs(fd):
            return
        program = bpf.load_device_program(bpf.compile_device_program([*map(_test_of, rules)]))
        try:
            bpf.attach_device_program(fd, program, is_default=is_default)
        finally:
            os.close(program)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} (its device rules)", directory) from error
    finally:
        os.close(fd)


def _test_of(rule: DeviceRule) -> bpf.DeviceTest:
    access = sum(_ACCESS[letter] for letter in set(rule.access))
    return bpf.DeviceTest(rule.allow, _TYPES[rule.type], rule.major, rule.minor, access)


def write_v1(directory: str, rules: Iterable[DeviceRule]) -> None:
    """Put a cgroup of v1's devices controller under rules and the default list.

    Raises: LimitNotSupported for what it cannot express; OSError with path and data.
    """
    is_allowed, exceptions = replay((*rules, *DEFAULT_RULES))
    first, then = ("allow", "deny") if is_allowed else ("deny", "allow")
    files.write_text(f"{directory}/devices.{first}", "a")
    for (kind, major, minor), access in exceptions.items():
        number = f"{'*' if major is None else major}:{'*' if minor is None else minor}"
        letters = "".join(letter for letter in "rwm" if letter in access)
        files.write_text(f"{directory}/devices.{then}", f"{kind} {number} {letters}")


def replay(rules: Iterable[DeviceRule]) -> tuple[bool, dict[_Key, frozenset[str]]]:
    """Return what rules come to on v1: whether all is allowed, and the exceptions to that.

    Raises: LimitNotSupported for an exception to an exception, of which v1 has none.
    """
    is_allowed = False
    exceptions: dict[_Key, frozenset[str]] = {}
    for rule in rules:
        access = frozenset(rule.access)
        if (rule.type, rule.major, rule.minor, len(access)) == ("a", None, None, 3):
            is_allowed, exceptions = rule.allow, {}
            continue
        for kind in "bc" if rule.type == "a" else rule.type:
            key = (kind, rule.major, rule.minor)
            if rule.allow != is_allowed:
                exceptions[key] = exceptions.get(key, frozenset()) | access
            else:
                _take_back(exceptions, key, access)
    return is_allowed, {key: access for key, access in exceptions.items() if access}


def _take_back(exceptions: dict[_Key, frozenset[str]], key: _Key, access: frozenset[str]) -> None:
    for other, theirs in exceptions.items():
        if _covers(key, other):
            exceptions[other] = theirs - access
        elif theirs & access and _meet(other, key):
            raise ReconcilerError(
                ErrorCode.LimitNotSupported,
                "cannot enforce linux.resources.devices: cgroup v1 cannot take back a part of what "
                "an earlier rule says of more devices; give the rules without the overlap",
                field="linux.resources.devices",
            )


def _covers(one: _Key, other: _Key) -> bool:
    """Tell whether all devices of `other` are of `one`."""
    pairs = zip(one[1:], other[1:], strict=True)
    return one[0] == other[0] and all(a in (None, b) for a, b in pairs)


def _meet(one: _Key, other: _Key) -> bool:
    """Tell whether a device is of both."""
    pairs = zip(one[1:], other[1:], strict=True)
    return one[0] == other[0] and all(None in (a, b) or a == b for a, b in pairs)
