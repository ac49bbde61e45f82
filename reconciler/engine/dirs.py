"""Where the engine keeps things; every place can be moved by argument or environment."""

from __future__ import annotations

import os
import stat
from binascii import crc32

from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.linux.proc import is_first_user_namespace
from reconciler.monitor.names import SOCKET_NAME

_SOCKET_PATH_MAX = 107
_ROOT_RUN_DIR = "/run/reconciler"
_OVERFLOW_UID = 65534


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


def unit_name(run_dir: str) -> str:
    """Return what the names of an instance's systemd units begin with."""
    is_default = not os.environ.get("RECONCILER_RUN_DIR") and run_dir == default_run_dir()
    return "reconciler" if is_default else instance_name(run_dir)


def check_owned(directory: str) -> None:
    """Refuse a run or state directory that another user has made, or could exchange.

    Who owns it, one above it or a link on the way could put records there of containers that are
    then started, by root where root is the caller. It need not exist.

    Raises: UnsafePath.
    """
    own = (directory, os.path.realpath(directory))
    for path in dict.fromkeys(part for one in own for part in _with_parents(one)):
        problem = _problem_of(path, is_last=path in own)
        if problem is not None:
            message = f"cannot use the directory {directory}: {path} {problem}"
            raise ReconcilerError(ErrorCode.UnsafePath, message, path=path)


def _with_parents(path: str) -> list[str]:
    parts = [path]
    while parts[-1] != "/":
        parts.append(os.path.dirname(parts[-1]))
    return parts


def _problem_of(path: str, *, is_last: bool) -> str | None:
    try:
        found = os.lstat(path)
    except OSError:  # it is made by us, or the error is told where it is used
        return None
    if not _is_trusted(found.st_uid):
        who = "root" if os.geteuid() == 0 else f"root or uid {os.geteuid()}"
        return f"belongs to uid {found.st_uid}, and must belong to {who}"
    if not stat.S_ISDIR(found.st_mode) or not found.st_mode & stat.S_IWOTH:
        return None
    if found.st_mode & stat.S_ISVTX and not is_last:
        return None  # as /tmp: nobody can exchange what is another's
    return f"can be written by everyone: chmod o-w {path}, or choose another directory"


def _is_trusted(uid: int) -> bool:
    if uid in (0, os.geteuid()):
        return True
    return uid == _OVERFLOW_UID and not is_first_user_namespace()  # root, as seen from inside


def make_layer(state_dir: str, container_id: str) -> None:
    """Have a container's writable layer, out of reach of the host's users.

    Root inside may leave programs there that are set-user-ID root (CVE-2021-41091).

    Raises: NoSpace, PermissionDenied, SystemError.
    """
    layers = os.path.join(state_dir, "overlay")
    try:
        os.makedirs(layers, 0o700, exist_ok=True)
        os.chmod(layers, 0o700)
        for name in ("upper", "work"):
            os.makedirs(os.path.join(layers, container_id, name), 0o755, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"cannot make the writable layer of {container_id}") from error
