"""Where containers are kept under systemd: in a scope of their own, which no unit's end ends.

    reconciler-monitor.socket          ExecStartPre: this module, with RUN_DIR and SCOPE
    reconciler-containers.scope        transient, delegated; held by a process that only sleeps
      /holder                          that process
      /reconciler/NAME                 the cgroups of containers

Not in the monitor's own unit: a cgroup that has handed controllers down takes no process (the
no-internal-process rule of cgroup-v2.rst), so that systemd could not start that unit again while
a container lives (tried with systemd 252: status 219/CGROUP). And a service without a process of
its own has no cgroup.

RUN_DIR/systemd.json notes where it is; whoever makes cgroups for the instance finds it there.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time

from reconciler.cgroup import files
from reconciler.cgroup.detect import detect
from reconciler.engine.monitor_client import MonitorClient
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import NamedTuple, suppress
from reconciler.linux.systemd import UNLIMITED, Manager, Property
from reconciler.monitor.names import SYSTEMD_NAME

_STOP_S = 10  # then what has not ended on SIGTERM is killed: at a shutdown, for who stops the scope
_COLLECTED_S = 5.0
_STOPPED_FIRST = (".service", "-apply.service", "-shutdown.service")
_FOR_EVER = "2147483647"


class SystemdPlace(NamedTuple):
    """The scope, its cgroup (a path such as /system.slice/NAME.scope), whether it is a user's."""

    cgroup: str
    scope: str
    is_user: bool

    @property
    def socket_unit(self) -> str:
        """The unit that listens for the monitor, and makes the scope."""
        return self.scope.replace("-containers.scope", "-monitor.socket")

    @property
    def restart_command(self) -> str:
        """What makes the scope anew, and listens."""
        return f"systemctl {'--user ' if self.is_user else ''}restart {self.socket_unit}"


def read_place(run_dir: str) -> SystemdPlace | None:
    """Return where systemd keeps the containers of an instance, None: it does not."""
    try:
        note = json.loads(files.read_text(os.path.join(run_dir, SYSTEMD_NAME)))
        return SystemdPlace(str(note["cgroup"]), str(note["scope"]), bool(note["isUser"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def make_place(run_dir: str, scope: str, *, is_user: bool) -> SystemdPlace:
    """Make the scope unless it is there, and note it. Raises: OSError, DBusError."""
    with Manager(is_user=is_user) as manager:
        _make_scope(manager, scope)
        place = SystemdPlace(manager.cgroup_of(scope), scope, is_user)
    os.makedirs(run_dir, 0o700, exist_ok=True)
    note = {"cgroup": place.cgroup, "scope": scope, "isUser": is_user}
    path = os.path.join(run_dir, SYSTEMD_NAME)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(note, file)
    os.rename(f"{path}.new", path)
    return place


def forget_place(run_dir: str) -> SystemdPlace | None:
    """Have containers made elsewhere from now on; return where it was. Raises: OSError."""
    place = read_place(run_dir)
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(run_dir, SYSTEMD_NAME))
    return place


def remake_place(run_dir: str, place: SystemdPlace) -> None:
    """Make a scope anew that somebody has ended, from a process of any kind.

    Raises: CgroupUnavailable.
    """
    command = [sys.executable, "-P", "-m", __name__, run_dir, place.scope]
    made = subprocess.run(
        [*command, "--user"] if place.is_user else command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    if made.returncode != 0:
        said = made.stderr.strip().splitlines()[-1:] or ["it was killed"]
        raise ReconcilerError(
            ErrorCode.CgroupUnavailable,
            f"cannot make the scope {place.scope}, in which containers are kept: {said[0]}; "
            f"have systemd make it: {place.restart_command}",
        )


def _make_scope(manager: Manager, scope: str) -> None:
    """Make it; one that has ended is forgotten by systemd a moment later."""
    deadline = time.monotonic() + _COLLECTED_S
    while not _try_make_scope(manager, scope):
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, "systemd does not let go of the former", scope)
        manager.reset_failed(scope)
        time.sleep(0.05)


def _try_make_scope(manager: Manager, scope: str) -> bool:
    """Make it unless it is there; False where one that has ended is in the way."""
    instance = scope.removesuffix("-containers.scope")
    properties: list[Property] = [
        ("Description", ("s", "Containers of the reconciler")),
        ("Slice", ("s", _own_slice())),
        ("Delegate", ("b", True)),
        ("TasksMax", ("t", UNLIMITED)),
        ("TimeoutStopUSec", ("t", _STOP_S * 10**6)),
        ("CollectMode", ("s", "inactive-or-failed")),
        # At a shutdown they end first. An After= of theirs would hold what is left of the scope.
        ("Before", ("as", [instance + unit for unit in _STOPPED_FIRST])),
    ]
    holder = subprocess.Popen(
        ["sleep", _FOR_EVER],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env={"PATH": os.defpath},
    )
    try:
        manager.make_scope(scope, [holder.pid], properties)
        _move_aside(holder.pid, manager.cgroup_of(scope))
    except BaseException as error:
        holder.kill()
        holder.wait()
        if not isinstance(error, FileExistsError):
            raise
        return manager.is_active(scope)
    holder.returncode = 0  # it outlives us, and is nobody's to wait for
    return True


def _move_aside(pid: int, cgroup: str) -> None:
    """Have the scope's own cgroup free of processes, so that it can hand controllers down."""
    unified = detect().unified
    if unified is not None:
        leaf = f"{unified.mount_point}{cgroup}/holder"
        files.mkdir(leaf)
        files.write_text(f"{leaf}/cgroup.procs", str(pid))


def _own_slice() -> str:
    """Return the slice of the unit that runs us, which is to be the scope's too."""
    lines = files.read_text("/proc/self/cgroup").splitlines()
    paths = [line.split(":", 2)[2] for line in lines if line.startswith("0::") or ":name=" in line]
    for path in paths:
        for part in reversed(path.split("/")):
            if part.endswith(".slice"):
                return part
    return "-.slice"


def main() -> None:
    """Take over from a monitor that was started on demand, and make the place."""
    run_dir, scope = sys.argv[1:3]
    MonitorClient(run_dir).hand_over()
    make_place(run_dir, scope, is_user=sys.argv[3:] == ["--user"])


if __name__ == "__main__":
    main()
