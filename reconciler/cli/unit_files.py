"""The unit files on disk: what is to be written, rewritten and removed; and the call of systemctl.

Called by `install`, `uninstall` and `doctor`. A file that `install` has not written, or that was
changed since, is not touched unless that is asked for.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from reconciler.cli.units import Unit, is_ours
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error

WRITE, REWRITE, KEEP, REMOVE = "written", "rewritten", "unchanged", "removed"


class Change(NamedTuple):
    """What becomes of one file."""

    path: str
    kind: str
    text: str = ""

    @property
    def name(self) -> str:
        """The name of the unit."""
        return os.path.basename(self.path)

    def to_json(self) -> dict[str, str]:
        """Return it as the items of `--output json` are."""
        return {"name": self.name, "path": self.path, "change": self.kind}


def unit_dir(*, is_user: bool) -> str:
    """Return where an administrator's units are, or this user's (systemd.unit(5))."""
    if not is_user:
        return "/etc/systemd/system"
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(config, "systemd", "user")


def read_unit(directory: str, name: str) -> str | None:
    """Return the text of a unit file, None when there is none. Raises: PermissionDenied, ..."""
    path = os.path.join(directory, name)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise from_os_error(error, f"cannot read the unit file {path}") from error


def find_changes(
    directory: str, units: Iterable[Unit], others: Iterable[str], *, is_forced: bool
) -> list[Change]:
    """Return what is to be done so that there are these units, and none of the `others`.

    Raises: UnitNotOurs when that would change a file that is somebody else's.
    """
    changes, foreign = [], []
    for unit in units:
        path, text = os.path.join(directory, unit.name), read_unit(directory, unit.name)
        if text == unit.text:
            changes.append(Change(path, KEEP, text))
        else:
            changes.append(Change(path, WRITE if text is None else REWRITE, unit.text))
            if text is not None and not is_ours(text):
                foreign.append(path)
    for name in others:
        path, text = os.path.join(directory, name), read_unit(directory, name)
        if text is not None:
            changes.append(Change(path, REMOVE))
            if not is_ours(text):
                foreign.append(path)
    if foreign and not is_forced:
        raise ReconcilerError(
            ErrorCode.UnitNotOurs,
            f"cannot change {', '.join(foreign)}: not as `reconciler install` has written it; "
            "look at it, then move it away, or use --force",
            path=foreign[0],
        )
    return changes


def make_changes(changes: Iterable[Change]) -> None:
    """Write and remove files, each at once or not at all. Raises: PermissionDenied, NoSpace ..."""
    for change in changes:
        try:
            if change.kind == REMOVE:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(change.path)
            elif change.kind != KEEP:
                _write(change)
        except OSError as error:
            verb = "remove" if change.kind == REMOVE else "write"
            raise from_os_error(error, f"cannot {verb} the unit file {change.path}") from error


def _write(change: Change) -> None:
    directory, name = os.path.split(change.path)
    os.makedirs(directory, 0o755, exist_ok=True)
    staging = os.path.join(directory, f".{name}.new")  # systemd reads no hidden files
    with open(staging, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(change.text)
    os.rename(staging, change.path)


def command_line(arguments: Sequence[str], *, is_user: bool) -> list[str]:
    """Return the command line of systemctl with these arguments."""
    return ["systemctl", *(["--user"] if is_user else []), *arguments]


def systemctl(arguments: Sequence[str], *, is_user: bool) -> None:
    """Run systemctl(1). Raises: SystemdFailed with what it said."""
    command = command_line(arguments, is_user=is_user)
    done = _run(command)
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        raise ReconcilerError(
            ErrorCode.SystemdFailed,
            f"cannot run `{' '.join(command)}`: {said}",
            operation="install",
        )


def ask_systemctl(arguments: Sequence[str], *, is_user: bool) -> str:
    """Return what systemctl(1) says, whatever its exit code. Raises: SystemdFailed."""
    return _run(command_line(arguments, is_user=is_user)).stdout.strip()


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
    except OSError as error:
        message = f"cannot run `{' '.join(command)}`"
        raise from_os_error(error, message, ErrorCode.SystemdFailed) from error
