"""Tells the daemons of an instance that there may be something to do at once: one file is touched.

Called by the command line after it has done something to containers. The daemons watch the file
as they do spec files, by inotify or else by looking; without a daemon nobody hears of it.
"""

from __future__ import annotations

import os

from reconciler.control.logs import log_failure
from reconciler.errors import from_os_error

WAKE_FILE = "wake"


def wake_daemons(run_dir: str) -> None:
    """Have each daemon make a pass. A failure is logged: the next periodic pass comes anyway."""
    path = os.path.join(run_dir, WAKE_FILE)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.utime(fd)
        finally:
            os.close(fd)
    except OSError as error:
        log_failure(from_os_error(error, "cannot wake the daemon", path=path))
