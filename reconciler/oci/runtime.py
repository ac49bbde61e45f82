"""What all verbs share: the engine below `--root`, and containers as the OCI sees them.

Called by the verbs. A container's record has, beside the engine's own fields, the annotations
`oci.version`, `oci.bundle`, `oci.annotations`, `oci.rootfs`, `oci.owner`, from which the state is
told without its Config, `oci.resources`, to which `update` adds, and with systemd `oci.scope`.
"""

from __future__ import annotations

import os
import time

from reconciler.engine.container import Container
from reconciler.engine.direct import DirectLauncher, is_waiting
from reconciler.engine.engine import Engine
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import Any, cached_property, json
from reconciler.model.state import Status
from reconciler.oci.log import Log
from reconciler.oci.options import Values

CGROUPFS, SYSTEMD, DISABLED = "cgroupfs", "systemd", "disabled"
RESOURCES_NOTE = "oci.resources"
SCOPE_NOTE = "oci.scope"
_ROOT = "/run/reconciler-oci"


class Runtime:
    """One call of the command line: global options, engine, log."""

    def __init__(self, values: Values, log: Log) -> None:
        self.log = log
        self.root = os.path.abspath(values["root"] or default_root())
        self.cgroup_manager = _manager(values)
        self.criu = values["criu"]
        self.launcher = DirectLauncher(self.root)

    @cached_property
    def engine(self) -> Engine:
        """The engine of the containers below the root."""
        return self.engine_below(None)

    def engine_below(self, cgroup_parent: str | None) -> Engine:
        """Return an engine whose cgroups go below `cgroup_parent`, None: below our own."""
        return Engine(
            run_dir=self.root,
            state_dir=self.root,
            cgroup_parent=cgroup_parent,
            launcher=self.launcher,
        )

    def load(self, container_id: str) -> Container:
        """Return a container. Raises: InvalidIdFormat, ContainerNotExists, RecordCorrupt."""
        return self.engine.load(container_id)

    def directory(self, container: Container) -> str:
        """Return the record directory of a container."""
        return self.engine.store.directory(container.id)

    def status(self, container: Container) -> str:
        """Return creating, created, running, paused or stopped, as the kernel shows it."""
        status = container.status()
        if status is Status.CREATED:
            return "creating"
        if status is Status.RUNNING and is_waiting(self.directory(container)):
            return "created"
        return "paused" if status is Status.PAUSING else str(status)


def default_root() -> str:
    """Return where containers are kept without `--root`."""
    if os.geteuid() == 0:
        return _ROOT
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    return os.path.join(runtime, "reconciler-oci")


def state_of(container: Container, status: str) -> dict[str, Any]:
    """Return the state of runtime.md, and what runc adds: rootfs, created, owner."""
    notes = container.annotations
    init = container.record.init
    state: dict[str, Any] = {
        "ociVersion": notes["oci.version"],
        "id": container.id,
        "pid": init.pid if init is not None and status != "stopped" else 0,
        "status": status,
        "bundle": notes["oci.bundle"],
        "rootfs": notes["oci.rootfs"],
        "created": format_time(container.record.created_at),
    }
    annotations = json.loads(notes["oci.annotations"])
    if annotations:
        state["annotations"] = annotations
    return state | {"owner": notes["oci.owner"]}


def hook_state(container: Container, status: str, pid: int) -> dict[str, Any]:
    """Return the state as hooks get it on their standard input."""
    notes = container.annotations
    return {
        "ociVersion": notes["oci.version"],
        "id": container.id,
        "status": status,
        "pid": pid,
        "bundle": notes["oci.bundle"],
        "annotations": json.loads(notes["oci.annotations"]),
    }


def check_format(text: str) -> bool:
    """Tell whether output is to be JSON and not a table. Raises: Usage."""
    if text not in ("table", "json"):
        raise ReconcilerError(ErrorCode.Usage, f"--format is table or json, not {text!r}")
    return text == "json"


def format_time(at_s: float) -> str:
    """Return a wall-clock time as RFC 3339 with nanoseconds: 2026-01-02T03:04:05.000000006Z."""
    whole = int(at_s)
    nanos = int((at_s - whole) * 1e9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{nanos:09d}Z"


def refuse(container_id: str, code: ErrorCode, operation: str, why: str) -> ReconcilerError:
    """Return the error `cannot <operation> <id>: <why>`."""
    message = f"cannot {operation} {container_id}: {why}"
    return ReconcilerError(code, message, container=container_id, operation=operation)


def _manager(values: Values) -> str:
    manager: str = values["cgroup-manager"]
    if manager not in (CGROUPFS, SYSTEMD, DISABLED):
        raise ReconcilerError(
            ErrorCode.Usage,
            f"--cgroup-manager is cgroupfs, systemd or disabled, not {manager!r}",
        )
    return SYSTEMD if values["systemd-cgroup"] else manager
