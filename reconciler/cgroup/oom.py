"""The OOM killer in one container's cgroup: its notice, and the memory figures of the moment.

Called by the monitor, so it imports the standard library, `core` and `files` alone. It decides
nothing. `paths` is as in `core`.
"""

from __future__ import annotations

import os
import select

from reconciler.cgroup import core, files
from reconciler.lean import Mapping, suppress

_UNLIMITED_FROM_BYTES = 2**62  # v1 shows the most pages that the kernel can count
_V1_FILES = ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes")
_V2_FILES = ("memory.current", "memory.peak", "memory.max")


def memory_figures(paths: Mapping[str, str]) -> dict[str, int | None]:
    """Return usage_bytes, peak_bytes (v2: kernel 5.19), limit_bytes, oom_kills; None: not known.

    A limit of None is also no limit.

    Raises: OSError with the path.
    """
    directory = paths.get("memory") or paths.get(core.UNIFIED, "")
    names = _V1_FILES if "memory" in paths else _V2_FILES
    texts = (files.read_optional(f"{directory}/{name}") for name in names)
    usage, peak, limit = (_number(text) for text in texts)
    if limit is not None and limit >= _UNLIMITED_FROM_BYTES:
        limit = None
    return {
        "usage_bytes": usage,
        "peak_bytes": peak,
        "limit_bytes": limit,
        "oom_kills": core.oom_kills(paths),
    }


def _number(text: str | None) -> int | None:
    return None if text is None or text.strip() == "max" else int(text)


class OomNotice:
    """A descriptor that is ready, for epoll's `mask`, when the OOM killer is about; -1: none.

    v1: an eventfd, ready before it kills (kernel: admin-guide/cgroup-v1/memory.rst, "OOM
    Control"). v2: memory.events, ready after a change, of other counts too (poll(2), POLLPRI).
    """

    def __init__(self, paths: Mapping[str, str]) -> None:
        self.mask = select.EPOLLIN if "memory" in paths else select.EPOLLPRI
        self.fd = -1
        with suppress(OSError):  # without it, a kill is only told less exactly
            self.fd = _open_v1(paths["memory"]) if "memory" in paths else _open_v2(paths)

    def drain(self) -> None:
        """Make the descriptor wait for the next time."""
        with suppress(OSError):  # it was drained before, or the cgroup is gone
            if self.mask == select.EPOLLIN:
                os.eventfd_read(self.fd)
            else:
                os.pread(self.fd, 4096, 0)

    def close(self) -> None:
        """Want no notice any more."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _open_v1(directory: str) -> int:
    control = os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
    fd = -1
    try:
        fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        files.write_text(f"{directory}/cgroup.event_control", f"{fd} {control}")
    except OSError:
        if fd >= 0:
            os.close(fd)
        raise
    finally:
        os.close(control)
    return fd


def _open_v2(paths: Mapping[str, str]) -> int:
    path = f"{paths.get(core.UNIFIED, '')}/memory.events"
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.pread(fd, 4096, 0)  # what was before is no news
    except OSError:
        os.close(fd)
        raise
    return fd
