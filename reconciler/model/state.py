"""What a container is doing: statuses, exits and processes, as the kernel shows them."""

from __future__ import annotations

from reconciler.lean import StrEnum
from reconciler.model.frozen import frozen


class Status(StrEnum):
    """Run state of a container.

    running, pausing, paused and destroyed are libcontainer's. `created` has a record and no
    process yet, `stopped` a record and no process any more.

        created --start--> running --pause--> pausing --> paused
           ^                  |  <----------resume-----------'
           |                exit
           '------ start --- stopped        any --destroy--> destroyed
    """

    CREATED = "created"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPED = "stopped"
    DESTROYED = "destroyed"

    def has_processes(self) -> bool:
        """Tell whether an init exists in this state."""
        return self in (Status.RUNNING, Status.PAUSING, Status.PAUSED)


@frozen
class OomMemory:
    """The cgroup's memory at an end by OOM, before anything of it is removed; None: not known.

    `limit_bytes` None is also unlimited. `oom_kills` counts since the cgroup was made.
    """

    usage_bytes: int | None = None
    peak_bytes: int | None = None
    limit_bytes: int | None = None
    oom_kills: int = 0

    def describe(self) -> str:
        """Return `: reached 64Mi of resources.memory.max 64Mi`, as far as it is known."""
        from reconciler.model.quantity import format_size_rounded

        if self.peak_bytes is None and self.limit_bytes is None:
            return ""
        limit = "no resources.memory.max"
        if self.limit_bytes is not None:
            limit = f"resources.memory.max {format_size_rounded(self.limit_bytes)}"
        if self.peak_bytes is None:
            return f": {limit}"
        reached = f": reached {format_size_rounded(self.peak_bytes)}"
        is_own = self.limit_bytes is not None and self.peak_bytes >= self.limit_bytes * 0.9
        above = "" if is_own else "; the host or a cgroup above had no more"
        return f"{reached} {'of' if self.limit_bytes is not None else 'with'} {limit}{above}"


@frozen
class ExitStatus:
    """How an init ended. `code` is 0-255 or None when a signal ended it or nobody knows.

    `signal` is a number (9), `oom` says that the kernel's OOM killer ended it, or a process of
    the container just before it failed; `at` is wall-clock seconds since the epoch. Both `code`
    and `signal` None: the exit happened while nobody could see it. `memory` is of an OOM.
    """

    code: int | None
    signal: int | None
    oom: bool
    at: float
    memory: OomMemory | None = None

    def is_success(self) -> bool:
        """Tell whether the init ended by itself with 0."""
        return self.code == 0

    def is_known(self) -> bool:
        """Tell whether the kernel told how it ended."""
        return self.code is not None or self.signal is not None

    def describe(self) -> str:
        """Return `exit code 1`, `killed by signal 9 (out of memory)` or `exit status unknown`."""
        figures = self.memory.describe() if self.memory is not None else ""
        why = f" (out of memory{figures})" if self.oom else ""
        if self.signal is not None:
            return f"killed by signal {self.signal}{why}"
        if self.code is not None:
            return f"exit code {self.code}{why}"
        return "exit status unknown"


@frozen
class ProcessId:
    """A process that cannot be mistaken for another: pid, start time (clock ticks), boot id."""

    pid: int
    start_ticks: int
    boot_id: str
