"""The systemd cgroup manager: a container's cgroup is that of a transient scope.

Called by the verbs that make, change and remove a container, with `--systemd-cgroup` or
`--cgroup-manager=systemd`. `linux.cgroupsPath` is then SLICE:PREFIX:NAME, as runc has it, and means
the scope PREFIX-NAME.scope in SLICE. The scope is delegated: the engine writes the limits, and
systemd is told what they have become, so that it does not take them back.

    holder is forked --> StartTransientUnit with it --> init is cloned into it --> holder ends
"""

from __future__ import annotations

import os

from reconciler.cgroup import convert, files
from reconciler.cgroup.core import UNIFIED
from reconciler.cgroup.detect import Mode, detect
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import NamedTuple, signal
from reconciler.linux import process, systemd
from reconciler.linux.dbus import DBusError
from reconciler.oci.fields import Fields

_PREFIX = "reconciler"
_PR_SET_PDEATHSIG = 1
# Property of systemd.resource-control(5), and the file of cgroup-v2.rst that it stands for.
_LIMITS = (
    ("MemoryMax", "memory.max"),
    ("MemoryHigh", "memory.high"),
    ("MemoryLow", "memory.low"),
    ("MemorySwapMax", "memory.swap.max"),
    ("TasksMax", "pids.max"),
    ("CPUWeight", "cpu.weight"),
)
_SETS = (("AllowedCPUs", "cpuset.cpus"), ("AllowedMemoryNodes", "cpuset.mems"))


class Scope(NamedTuple):
    """A scope, the directory of its cgroup, and who holds it until the init is there."""

    name: str
    directory: str
    holder: int

    @property
    def cgroups(self) -> dict[str, str]:
        """The directory by hierarchy."""
        return {UNIFIED: self.directory}

    def tell_limits(self) -> None:
        """Tell systemd the limits that the cgroup has. Raises: SystemdFailed."""
        tell_limits(self.name, self.directory)

    def end(self) -> None:
        """End it, with all in it. Raises: SystemdFailed."""
        self.release()
        end_scope(self.name)

    def release(self) -> None:
        """Let go of it: it ends unless a process of the container's is in it."""
        os.kill(self.holder, signal.SIGKILL)
        os.waitpid(self.holder, 0)


def check_systemd() -> None:
    """Refuse what only systemd can do where it is not. Raises: NotSupported."""
    why = None
    if not systemd.is_running(is_user=_is_user()):
        why = "no manager of this user's runs" if _is_user() else "systemd is not the init here"
    elif detect().mode is not Mode.V2:
        why = "that needs a host with cgroup v2 alone"
    if why is not None:
        text = f"cannot use the systemd cgroup manager: {why}; use --cgroup-manager=cgroupfs"
        raise ReconcilerError(ErrorCode.NotSupported, text)


def name_scope(linux: Fields, container_id: str) -> tuple[str, str]:
    """Return the slice and the name of a container's scope. Raises: ConfigInvalid."""
    path = linux.text("cgroupsPath") or f":{_PREFIX}:{container_id}"
    parts = path.split(":")
    if len(parts) != 3 or "/" in path:
        text = f"is SLICE:PREFIX:NAME for systemd's cgroup manager, and not '{path}'"
        raise linux.invalid("cgroupsPath", text)
    parent, prefix, name = parts
    parent = parent or ("user.slice" if _is_user() else "system.slice")
    if not parent.endswith(".slice") or not name or name.endswith(".slice"):
        text = f"needs a slice such as machine.slice, and the name of a scope, and is '{path}'"
        raise linux.invalid("cgroupsPath", text)
    return parent, f"{prefix}-{name}.scope" if prefix else f"{name}.scope"


def open_scope(linux: Fields, container_id: str) -> Scope:
    """Make a container's scope. Raises: NotSupported, ConfigInvalid, IdInUse, SystemdFailed."""
    check_systemd()
    parent, name = name_scope(linux, container_id)
    properties: list[systemd.Property] = [
        ("Description", ("s", f"container {name}")),
        ("Slice", ("s", parent)),
        ("Delegate", ("b", True)),
        ("CollectMode", ("s", "inactive-or-failed")),
    ]
    holder = _fork_holder()
    try:
        with systemd.Manager(is_user=_is_user()) as manager:
            manager.make_scope(name, [holder], properties)
            cgroup = manager.cgroup_of(name)
    except BaseException as error:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        if isinstance(error, FileExistsError):
            text = f"cannot make the scope {name}: there is one of that name"
            raise ReconcilerError(ErrorCode.IdInUse, text) from error
        if isinstance(error, (DBusError, OSError)):
            raise _failed("make", name, error) from error
        raise
    unified = detect().unified
    assert unified is not None  # as `check_systemd` has found
    return Scope(name, unified.mount_point + cgroup, holder)


def tell_limits(name: str, directory: str) -> None:
    """Tell systemd the limits that a scope's cgroup has. Raises: SystemdFailed."""
    try:
        with systemd.Manager(is_user=_is_user()) as manager:
            manager.set_properties(name, read_limits(directory))
    except (DBusError, OSError) as error:
        raise _failed("set the limits of", name, error) from error


def end_scope(name: str) -> None:
    """End a scope that nothing runs in; fine when it is gone. Raises: SystemdFailed."""
    try:
        with systemd.Manager(is_user=_is_user()) as manager:
            manager.stop_unit(name)
    except (DBusError, OSError) as error:
        raise _failed("end", name, error) from error


def read_limits(directory: str) -> list[systemd.Property]:
    """Return the limits of a cgroup as properties of a unit. Raises: OSError."""
    found: list[systemd.Property] = []
    for name, file in _LIMITS:
        text = files.read_optional(f"{directory}/{file}")
        if text is not None:
            found.append((name, ("t", _number(text.strip()))))
    for name, file in _SETS:
        text = files.read_optional(f"{directory}/{file}")
        if text is not None:
            found.append((name, ("ay", _mask(text.strip()))))
    cpu = files.read_optional(f"{directory}/cpu.max")
    if cpu is not None:
        quota, period = cpu.split()
        share = systemd.UNLIMITED if quota == "max" else int(quota) * 10**6 // int(period)
        found.append(("CPUQuotaPerSecUSec", ("t", share)))
        found.append(("CPUQuotaPeriodUSec", ("t", int(period))))
    return found


def _number(text: str) -> int:
    return systemd.UNLIMITED if text == "max" else int(text)


def _mask(text: str) -> list[int]:
    """Return a list such as 0-3,8 as bytes of bits, the lowest first; empty: all."""
    numbers = convert.parse_list(text) if text else set()
    bits = sum(1 << number for number in numbers)
    return list(bits.to_bytes((bits.bit_length() + 7) // 8, "little"))


def _fork_holder() -> int:
    """Return the pid of a child that waits until it is killed, and has nothing of ours open."""
    pid = process.fork()
    if pid:
        return pid
    try:
        process.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        os.closerange(0, os.sysconf("SC_OPEN_MAX"))
        while True:
            signal.pause()
    finally:
        os._exit(0)


def _is_user() -> bool:
    return os.geteuid() != 0


def _failed(verb: str, name: str, error: Exception) -> ReconcilerError:
    return ReconcilerError(ErrorCode.SystemdFailed, f"cannot {verb} the scope {name}: {error}")
