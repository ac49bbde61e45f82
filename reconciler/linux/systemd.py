"""The service manager: scopes of our making, over its D-Bus interface.

Called by the monitor's `place` and by the OCI command line. Standard library alone.
Source: org.freedesktop.systemd1(5), systemd.scope(5), https://systemd.io/CGROUP_DELEGATION/.
"""

from __future__ import annotations

import errno
import os

from reconciler.lean import Any, Self, Sequence, suppress
from reconciler.linux.dbus import Connection, DBusError

UNLIMITED = 2**64 - 1

Property = tuple[str, tuple[str, Any]]
"""Name of a unit's property, and its D-Bus signature and value."""

_NAME = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_MANAGER = f"{_NAME}.Manager"
_NO_SUCH_UNIT = f"{_NAME}.NoSuchUnit"
_UNIT_EXISTS = f"{_NAME}.UnitExists"


def is_running(*, is_user: bool = False) -> bool:
    """Tell whether systemd is the init of this host, or a manager of this user's runs."""
    if not os.path.isdir("/run/systemd/system"):  # sd_booted(3)
        return False
    return not is_user or os.path.exists(f"{runtime_dir()}/systemd/private")


def runtime_dir() -> str:
    """Return this user's runtime directory."""
    return os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"


class Manager:
    """A connection to the host's service manager, or to this user's (`is_user`)."""

    def __init__(self, *, is_user: bool) -> None:
        """Connect, as systemctl(1) does to its own socket, else over the bus. Raises: OSError."""
        run = runtime_dir() if is_user else "/run"
        bus = f"{run}/bus" if is_user else "/run/dbus/system_bus_socket"
        # Its own socket first: the bus may be yet to be started, after what is asking now.
        try:
            self._bus = Connection(f"{run}/systemd/private", is_bus=False)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ECONNREFUSED, errno.EACCES):
                raise
            self._bus = Connection(bus, is_bus=True)

    def make_scope(self, name: str, pids: Sequence[int], properties: Sequence[Property]) -> None:
        """Make a transient scope with these processes in it, and wait until it is there.

        Raises: FileExistsError when there is one; DBusError; OSError.
        """
        self._bus.match(f"type='signal',interface='{_MANAGER}',member='JobRemoved'")
        self._subscribe()
        wanted: list[Property] = [*properties, ("PIDs", ("au", list(pids)))]
        signature, start = "ssa(sv)a(sa(sv))", "StartTransientUnit"
        try:
            (job,) = self._call(start, signature, name, "fail", wanted, [])
        except DBusError as error:
            if error.name == _UNIT_EXISTS:
                raise FileExistsError(errno.EEXIST, "there is such a unit", name) from error
            raise
        self._await(job, name)

    def stop_unit(self, name: str) -> None:
        """Stop a unit, ending all in it, and wait for that; fine when it is gone.

        Raises: DBusError; OSError.
        """
        self._bus.match(f"type='signal',interface='{_MANAGER}',member='JobRemoved'")
        self._subscribe()
        try:
            (job,) = self._call("StopUnit", "ss", name, "replace")
        except DBusError as error:
            if error.name == _NO_SUCH_UNIT:
                return
            raise
        self._await(job, name)

    def set_properties(self, name: str, properties: Sequence[Property]) -> None:
        """Change properties of a unit until it ends. Raises: DBusError; OSError."""
        self._call("SetUnitProperties", "sba(sv)", name, True, list(properties))

    def reset_failed(self, name: str) -> None:
        """Have systemd forget that a unit has failed; fine when it is gone. Raises: OSError."""
        with suppress(DBusError):
            self._call("ResetFailedUnit", "s", name)

    def cgroup_of(self, name: str) -> str:
        """Return the cgroup of a unit, a path such as /system.slice/NAME; empty: it has none.

        Raises: DBusError; OSError.
        """
        return self._get(name, name.rpartition(".")[2].capitalize(), "ControlGroup")

    def is_active(self, name: str) -> bool:
        """Tell whether a unit is active. Raises: DBusError; OSError."""
        return self._get(name, "Unit", "ActiveState") == "active"

    def close(self) -> None:
        """End the connection."""
        self._bus.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _get(self, unit: str, kind: str, name: str) -> str:
        (path,) = self._call("LoadUnit", "s", unit)
        get = ("org.freedesktop.DBus.Properties", "Get", "ss")
        (value,) = self._bus.call(_NAME, path, *get, f"{_NAME}.{kind}", name)
        return str(value[1])

    def _call(self, member: str, signature: str, *arguments: object) -> list[Any]:
        return self._bus.call(_NAME, _PATH, _MANAGER, member, signature, *arguments)

    def _subscribe(self) -> None:
        with suppress(DBusError):  # we have done so already
            self._call("Subscribe", "")

    def _await(self, job: str, unit: str) -> None:
        while True:
            _, path, _, result = self._bus.next_signal("JobRemoved")
            if path == job:
                break
        if result != "done":
            raise DBusError(f"{_NAME}.JobFailed", f"the job for {unit} ended with: {result}")
