"""What dump and restore tell criu alike, and what becomes of its failures."""

from __future__ import annotations

import os
import shutil
import subprocess

from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.lean import Iterator, contextmanager
from reconciler.model.config import Config
from reconciler.oci.criu.rpc import CriuFailed, Fields
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime, refuse

DESCRIPTORS = "descriptors.json"
# criu_opts and its enums in images/rpc.proto.
IMAGES_FD, PID, LEAVE_RUNNING, ROOT, PARENT, TRACK_MEMORY, SIBLING = 1, 2, 3, 13, 14, 15, 26
INHERIT_FD, CGROUP_ROOT, EXTERNAL, FREEZE_CGROUP, EVASIVE = 27, 25, 37, 44, 6
_EXT_UNIX, _TCP, _SHELL_JOB, _LOCKS, _LOG_LEVEL, _LOG_FILE, _NOTIFY = 4, 5, 7, 8, 9, 10, 12
_DEDUP, _WORK_FD, _MANAGE_CGROUPS, _CGROUP_MODE, _EMPTY_NS, _ORPHAN_PTS = 16, 17, 24, 34, 38, 50
_MODES = {"ignore": 0, "soft": 3, "full": 4, "strict": 5}
_NEWNET = 0x40000000
_LOG_DEBUG = 4
_REFUSED = ("lazy-pages", "page-server", "status-fd")


class Images:
    """The directories of a checkpoint, open: its images, and criu's log and scratch files."""

    def __init__(self, options: Values, *, is_new: bool) -> None:
        self.path = os.path.abspath(options["image-path"])
        self.work = os.path.abspath(options["work-path"] or self.path)
        try:
            for path in (self.path, self.work) if is_new else (self.work,):
                os.makedirs(path, 0o700, exist_ok=True)
            self.fd, self.work_fd = (os.open(path, os.O_RDONLY) for path in (self.path, self.work))
        except OSError as error:
            raise from_os_error(error, "cannot use the directory of the checkpoint") from error

    def take(self, fds: list[int]) -> None:
        """Have other descriptors of the two: criu looks them up in its own mount namespace."""
        os.close(self.fd)
        os.close(self.work_fd)
        self.fd, self.work_fd = fds

    def __enter__(self) -> Images:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)
        os.close(self.work_fd)


def check_options(runtime: Runtime, options: Values, operation: str, container_id: str) -> None:
    """Refuse what is not supported, and a criu that is not there. Raises: NotSupported, Usage."""
    for name in _REFUSED:
        if options.get(name):
            why = f"--{name} is not supported: pages are written to the image directory"
            raise refuse(container_id, ErrorCode.NotSupported, operation, why)
    mode = options["manage-cgroups-mode"]
    if mode and mode not in _MODES:
        why = f"--manage-cgroups-mode is one of {', '.join(_MODES)}, not {mode!r}"
        raise refuse(container_id, ErrorCode.Usage, operation, why)
    if set(options["empty-ns"]) - {"network"}:
        raise refuse(container_id, ErrorCode.Usage, operation, "--empty-ns can only be network")
    if shutil.which(runtime.criu) is None:
        why = f"{runtime.criu} is not installed (Debian: apt-get install criu)"
        raise refuse(container_id, ErrorCode.NotSupported, operation, why)


def common_fields(options: Values, images: Images, config: Config, log: str) -> Fields:
    """Return the options that dump and restore have alike; `log` is the name of the log file."""
    return [
        (IMAGES_FD, images.fd),
        (_WORK_FD, images.work_fd),
        (_LOG_LEVEL, _LOG_DEBUG),
        (_LOG_FILE, log),
        (_NOTIFY, True),
        (_EXT_UNIX, options["ext-unix-sk"]),
        (_TCP, options["tcp-established"]),
        (_SHELL_JOB, options["shell-job"]),
        (_LOCKS, options["file-locks"]),
        (_DEDUP, options["auto-dedup"]),
        (_MANAGE_CGROUPS, True),
        (_CGROUP_MODE, _MODES[options["manage-cgroups-mode"] or "soft"]),
        (_EMPTY_NS, _NEWNET if options["empty-ns"] else 0),
        (_ORPHAN_PTS, config.isolation.terminal is not None),
    ]


@contextmanager
def failures_told(
    runtime: Runtime, operation: str, container_id: str, images: Images, log: str
) -> Iterator[None]:
    """Say of a failure of criu's what its log has, or that it does not work on this kernel.

    Raises: NotSupported, CheckpointFailed.
    """
    try:
        yield
    except CriuFailed as failure:
        checked = subprocess.run(
            [runtime.criu, "check"], capture_output=True, text=True, check=False
        )
        if checked.returncode:
            said = (checked.stdout + checked.stderr).strip().splitlines()
            what = said[0] if said else "it fails"
            why = f"{runtime.criu} does not work on this kernel; criu check: {what}"
            raise refuse(container_id, ErrorCode.NotSupported, operation, why) from failure
        path = os.path.join(images.work, log)
        why = f"criu: {_last_error(path) or failure}; its log is {path}"
        raise refuse(container_id, ErrorCode.SystemError, operation, why) from failure


def _last_error(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            errors = [line for line in lines if "Error (" in line]
    except OSError:
        return None
    return errors[0].partition("): ")[2].strip() if errors else None


def bad_image(container_id: str, why: str) -> ReconcilerError:
    """Return the error for an image directory that cannot be restored from."""
    return refuse(container_id, ErrorCode.ConfigInvalid, "restore", why)
