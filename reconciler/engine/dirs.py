"""Where the engine keeps things; every place can be moved by argument or environment."""

from __future__ import annotations

import os
from binascii import crc32

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.monitor.names import SOCKET_NAME

_SOCKET_PATH_MAX = 107
_ROOT_RUN_DIR = "/run/reconciler"


def default_run_dir() -> str:
    """Return RECONCILER_RUN_DIR, or /run/reconciler, or below XDG_RUNTIME_DIR for a user."""
    if chosen := os.environ.get("RECONCILER_RUN_DIR"):
        return os.path.abspath(chosen)
    if os.geteuid() == 0:
        return _ROOT_RUN_DIR
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    return os.path.join(runtime, "reconciler")


def check_run_dir(run_dir: str) -> str:
    """Return `run_dir`, which must be short enough for the socket in it (unix(7): 107 bytes).

    Raises: ConfigInvalid.
    """
    longest = _SOCKET_PATH_MAX - len("/" + SOCKET_NAME)
    if len(os.fsencode(run_dir)) > longest:
        raise ReconcilerError(
            ErrorCode.ConfigInvalid,
            f"cannot use the run directory {run_dir}: its path has more than {longest} bytes; "
            "choose a shorter one with --run-dir or RECONCILER_RUN_DIR",
            path=run_dir,
        )
    return run_dir


def default_state_dir() -> str:
    """Return RECONCILER_STATE_DIR, or /var/lib/reconciler, or below XDG_STATE_HOME for a user."""
    if chosen := os.environ.get("RECONCILER_STATE_DIR"):
        return os.path.abspath(chosen)
    if os.geteuid() == 0:
        return "/var/lib/reconciler"
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "reconciler")


def default_cgroup_parent() -> str | None:
    """Return RECONCILER_CGROUP_PARENT, or None: the caller's own cgroup."""
    return os.environ.get("RECONCILER_CGROUP_PARENT") or None


def instance_name(run_dir: str) -> str:
    """Return the name of this instance's cgroup: instances differ by their run directory."""
    if run_dir == _ROOT_RUN_DIR:
        return "reconciler"
    return f"reconciler-{crc32(os.fsencode(run_dir)):08x}"
