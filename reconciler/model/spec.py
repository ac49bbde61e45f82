"""Desired state: what a spec file asks for, validated, with every default filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.config import Config
from reconciler.model.moment import format_time

NS = 10**9


class Kind(StrEnum):
    """`Container` is kept running; `Job` runs to completion and reruns when its spec changes."""

    CONTAINER = "Container"
    JOB = "Job"


class DesiredState(StrEnum):
    """What the user wants the container to be doing."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


class RestartPolicy(StrEnum):
    """When an ended init is started again (for Container; a Job uses never or on-failure)."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Wait before restart n: `min(max, initial * factor^(n-1))`, in nanoseconds.

    `jitter` (0 to 1) is the largest share of a wait that may be left out.
    """

    initial_ns: int = NS // 2
    factor: float = 2.0
    max_ns: int = 30 * NS
    jitter: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Restart policy of a container.

    A run of `reset_after_ns` (None: `backoff.max_ns`) makes up for the failures before it.
    `max_attempts` restarts in a row at most (None: no end); none at all after an exit with one
    of `permanent_exit_codes`.
    """

    policy: RestartPolicy = RestartPolicy.ALWAYS
    backoff: Backoff = Backoff()
    reset_after_ns: int | None = None
    max_attempts: int | None = None
    permanent_exit_codes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """How to stop: `signal` (name without SIG) to init, after `grace_ns` SIGKILL to all."""

    signal: str = "TERM"
    grace_ns: int = 10 * NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspend:
    """Nothing is done to a container: why, and until when (wall-clock seconds; None: no end)."""

    reason: str | None = None
    until: float | None = None

    def is_over(self, now: float) -> bool:
        """Tell whether the time is over at `now` (wall-clock seconds)."""
        return self.until is not None and now >= self.until

    def describe(self) -> str:
        """Return `maintenance, until 2026-01-31T12:00:00.000Z`, or as much of it as is known."""
        until = None if self.until is None else f"until {format_time(self.until)}"
        return ", ".join(filter(None, (self.reason, until))) or "no reason given"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a spec was read: file, 1-based line and column of its document."""

    file: str
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One desired container. `digest` is over everything but labels' order and the origin.

    `deadline_ns` is for a Job: each run of it is stopped when it has lasted so long.
    """

    name: str
    config: Config
    kind: Kind = Kind.CONTAINER
    labels: dict[str, str] = field(default_factory=dict)
    state: DesiredState = DesiredState.RUNNING
    restart: Restart = Restart()
    deadline_ns: int | None = None
    stop: Stop = Stop()
    suspend: Suspend | None = None
    origin: Origin
    digest: str

    @property
    def source(self) -> str:
        """The owner's identity: the (real) directory of the file that it was read from."""
        return self.origin.file.rpartition("/")[0] or "/"
