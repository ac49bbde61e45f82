"""Desired state: what a spec file asks for, validated, with every default filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.config import Config

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
    """Wait before restart n: `min(max, initial * factor^(n-1))`, in nanoseconds."""

    initial_ns: int = NS // 2
    factor: float = 2.0
    max_ns: int = 30 * NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Restart policy of a container."""

    policy: RestartPolicy = RestartPolicy.ALWAYS
    backoff: Backoff = Backoff()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """How to stop: `signal` (name without SIG) to init, after `grace_ns` SIGKILL to all."""

    signal: str = "TERM"
    grace_ns: int = 10 * NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a spec was read: file, 1-based line and column of its document."""

    file: str
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One desired container. `digest` is over everything but labels' order and the origin."""

    name: str
    config: Config
    kind: Kind = Kind.CONTAINER
    labels: dict[str, str] = field(default_factory=dict)
    state: DesiredState = DesiredState.RUNNING
    restart: Restart = Restart()
    stop: Stop = Stop()
    origin: Origin
    digest: str

    @property
    def source(self) -> str:
        """The owner's identity: the (real) directory of the file that it was read from."""
        return self.origin.file.rpartition("/")[0] or "/"
