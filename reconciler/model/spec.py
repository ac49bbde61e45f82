"""Desired state: what a spec file asks for, validated, with every default filled in."""

from __future__ import annotations

from reconciler.lean import StrEnum
from reconciler.model.config import Config
from reconciler.model.frozen import field, frozen
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


@frozen
class Backoff:
    """Wait before restart n: `min(max, initial * factor^(n-1))`, in nanoseconds.

    `jitter` (0 to 1) is the largest share of a wait that may be left out.
    """

    initial_ns: int = NS // 2
    factor: float = 2.0
    max_ns: int = 30 * NS
    jitter: float = 0.0


@frozen
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


@frozen
class Stop:
    """How to stop: `signal` (name without SIG) to init, after `grace_ns` SIGKILL to all.

    `pre_stop` is a command run in the container before the signal; its time is the grace's.
    """

    signal: str = "TERM"
    grace_ns: int = 10 * NS
    pre_stop: tuple[str, ...] | None = None


@frozen
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


class PruneMode(StrEnum):
    """What becomes of a container that no file names any more.

    destroy: it is removed. freeze: it is paused, and removed after a time; it runs on if its file
    comes back before. orphan: it is left as it is, and no longer looked after.
    """

    DESTROY = "destroy"
    FREEZE = "freeze"
    ORPHAN = "orphan"


@frozen
class Prune:
    """How a container is pruned; `ttl_ns` is how long a frozen one is kept."""

    mode: PruneMode = PruneMode.DESTROY
    ttl_ns: int = 3600 * NS


class DriftPolicy(StrEnum):
    """What is done about a difference that no change of the spec explains.

    enforce: it is mended. report: it is shown. ignore: neither.
    """

    ENFORCE = "enforce"
    REPORT = "report"
    IGNORE = "ignore"


@frozen
class Drift:
    """The policy of a container, and of single fields (by path, as `resources.memory.max`)."""

    policy: DriftPolicy = DriftPolicy.ENFORCE
    fields: dict[str, DriftPolicy] = field(default_factory=dict)

    def policy_of(self, path: str) -> DriftPolicy:
        """Return the policy for a field: its own, the nearest one above it, or the container's."""
        while path:
            if path in self.fields:
                return self.fields[path]
            path = path.rpartition(".")[0]
        return self.policy


class Enforcement(StrEnum):
    """Whether a container may run on a host that cannot enforce a field."""

    REQUIRED = "required"
    PREFERRED = "preferred"


class DependencyCondition(StrEnum):
    """How far another container must have come: it runs, it is ready, it has ended with 0."""

    STARTED = "started"
    READY = "ready"
    COMPLETED = "completed"


@frozen
class Dependency:
    """Another container to wait for; with `restart` a new run of it asks for one of this too."""

    name: str
    condition: DependencyCondition = DependencyCondition.STARTED
    restart: bool = False


class ReactionKind(StrEnum):
    """What is done when a file that a spec refers to has changed."""

    IGNORE = "ignore"
    RESTART = "restart"
    SIGNAL = "signal"
    EXEC = "exec"


@frozen
class Reaction:
    """What is done: `signal` (name without SIG) to init, or `command` run in the container."""

    kind: ReactionKind
    signal: str | None = None
    command: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return `restart`, `signal HUP` or `exec /usr/sbin/nginx -s reload`."""
        return " ".join((self.kind, *filter(None, (self.signal,)), *self.command))


@frozen
class Reference:
    """A file or directory of the host that a spec refers to, by absolute path.

    `digest` is of what it held when it was loaded, None when it was missing. `env_names` are the
    variables that it gives, for an env file.
    """

    path: str
    reaction: Reaction
    digest: str | None = None
    env_names: tuple[str, ...] = ()


@frozen
class HttpCheck:
    """GET `path` in the container's network; a status from 200 to 399 passes."""

    port: int
    path: str = "/"
    host: str = "127.0.0.1"
    headers: dict[str, str] = field(default_factory=dict)


@frozen
class TcpCheck:
    """A connection in the container's network; it passes when it is accepted."""

    port: int
    host: str = "127.0.0.1"


@frozen
class Probe:
    """One probe: exactly one of `exec` (a command that exits with 0), `http`, `tcp` and `unix`
    (a socket's path in the container that takes a connection); when, and how often in a row.
    """

    exec: tuple[str, ...] | None = None
    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    unix: str | None = None
    initial_delay_ns: int = 0
    interval_ns: int = 10 * NS
    timeout_ns: int = NS
    failure_threshold: int = 3
    success_threshold: int = 1


@frozen
class Probes:
    """startup: until it passes, the others wait; readiness: fit for use; liveness: not stuck."""

    startup: Probe | None = None
    readiness: Probe | None = None
    liveness: Probe | None = None


@frozen
class Origin:
    """Where a spec was read: file, 1-based line and column of its document."""

    file: str
    line: int = 1
    column: int = 1


@frozen
class Spec:
    """One desired container. `digest` is over everything but labels' order and the origin.

    `deadline_ns` is for a Job: each run of it is stopped when it has lasted so long.
    `enforcement` says by field path what need not be enforced. `depends_on` is sorted by name,
    `references` by path.
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
    prune: Prune = Prune()
    drift: Drift = Drift()
    enforcement: dict[str, Enforcement] = field(default_factory=dict)
    depends_on: tuple[Dependency, ...] = ()
    references: tuple[Reference, ...] = ()
    probes: Probes = Probes()
    origin: Origin
    digest: str

    @property
    def source(self) -> str:
        """The owner's identity: the (real) directory of the file that it was read from."""
        return self.origin.file.rpartition("/")[0] or "/"
