"""Both sides of a diff: what is desired, and what the kernel shows; and the loader's problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import StrEnum
from reconciler.model.config import Config
from reconciler.model.frozen import field, frozen
from reconciler.model.health import Health
from reconciler.model.spec import Spec, Suspend
from reconciler.model.state import ExitStatus, Status
from reconciler.model.value import Value


@frozen
class Problem:
    """Something wrong in a source, with a place where it has one (1-based line and column).

    `code` is an `ErrorCode` number, `name` its name. `spec_name` is the container whose spec
    is at fault, where that is known: its last good spec stays in force.
    """

    code: int
    name: str
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    field: str | None = None
    spec_name: str | None = None

    @classmethod
    def of(cls, code: ErrorCode, message: str, spec: Spec | None = None) -> Problem:
        """Return the problem with this code, with the name and the place of a spec's, if any."""
        if spec is None:
            return cls(code=int(code), name=code.name, message=message)
        return cls(
            code=int(code),
            name=code.name,
            message=message,
            file=spec.origin.file,
            line=spec.origin.line,
            column=spec.origin.column,
            spec_name=spec.name,
        )

    @classmethod
    def from_error(cls, error: ReconcilerError) -> Problem:
        """Return what an error says, with its place where it has one."""
        return cls(
            code=int(error.code),
            name=error.code.name,
            message=str(error),
            file=error.file,
            line=error.line,
            column=error.column,
            field=error.field,
            spec_name=error.container,
        )

    def describe(self) -> str:
        """Return `file:line:column: field: problem`, leaving out what is not known."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (place, self.field, self.message) if part)

    def to_json(self) -> dict[str, Any]:
        """Return `{code, name, message, file, line, column, field}`."""
        return {
            "code": self.code,
            "name": self.name,
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "field": self.field,
        }


class SourceStatus(StrEnum):
    """Whether a source directory can be trusted to say what is no longer wanted."""

    OK = "ok"
    EMPTY = "empty"
    MISSING = "missing"
    UNREADABLE = "unreadable"


@frozen
class Source:
    """One source, a directory or a file: its identity (real path), whether it could be read."""

    path: str
    status: SourceStatus = SourceStatus.OK


@frozen
class Desired:
    """All specs of the sources, last good ones included, by name; and all problems.

    `invalid` are names whose files are in trouble: they are kept, never pruned, marked
    Invalid. `unknown_files` are files in trouble that no name is known for: while there is
    one, a container that no valid file names might be its, and is not pruned either.
    """

    specs: Mapping[str, Spec] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    sources: tuple[Source, ...] = ()
    invalid: frozenset[str] = frozenset()
    unknown_files: tuple[str, ...] = ()


@frozen
class RestartMemory:
    """What is remembered of restarts between passes; written with each start and stop.

    `count`: restarts by policy since it was created. `failures`: of those, how many in a row
    without a stable run between them (the backoff's n). `is_stopped`: its last init was ended
    by the reconciler itself, which is no failure. `is_overdue`: it was ended by the reconciler
    as its deadline had passed, which is one. `failed_probe`: it was ended for what this says,
    which is one too.
    """

    count: int = 0
    failures: int = 0
    is_stopped: bool = False
    is_overdue: bool = False
    failed_probe: str | None = None

    @property
    def is_ended_as_failed(self) -> bool:
        """Tell whether the reconciler ended its last run as it was no good."""
        return self.is_overdue or self.failed_probe is not None


@frozen
class Failure:
    """An action that failed and has not succeeded since, for backoff and for `status`.

    `verb` is the action's; `spec_digest` the spec it was for: another spec is tried at once.
    `count` failures in a row, the last of them `at` (wall-clock seconds) with `problem`.
    """

    verb: str
    spec_digest: str
    count: int
    at: float
    problem: Problem


@frozen
class Weakened:
    """A mount that does not protect what it is to: path and words for people.

    `is_live`: it can be mended while the container runs.
    """

    path: str
    desired: Value
    observed: Value
    is_live: bool = True


@frozen
class Observed:
    """One existing container as the kernel and its record show it.

    `config` is what it was made from. `spec` is the last spec that was applied to it, with
    `config` as its Config; None when the reconciler did not make it. `limits` are the resource
    fields as read from the cgroup (canonical values by field path); a field that could not be
    read is absent; `process` are those of its init. `generation` numbers its specs from 1.
    `runs` are those of other containers (when each started, None: it had not) that it was started
    with, for the dependencies that it restarts with.
    `suspend` and `paused_at` are what a user told by command: to leave the container alone, and
    to keep it paused. `frozen_at` is since when it is kept frozen as no file names it. Wall-clock
    seconds. `strangers` are processes in its cgroup that are not its own, as `4711 sh`;
    `detached` are sources of mounts that show something else than is there now, `unmounted`
    directories on which somebody has unmounted what was there, `weakened` what its mounts no longer
    protect;
    `has_cgroup`: nobody took its init out of it; `is_rebooted`: it ran when the host went down.
    `began_s` is when the init that runs was started, by the clock of `World.boot_s`.
    """

    name: str
    status: Status
    config: Config
    spec: Spec | None = None
    pid: int | None = None
    started_at: float | None = None
    began_s: float | None = None
    last_exit: ExitStatus | None = None
    limits: Mapping[str, Value] = field(default_factory=dict)
    process: Mapping[str, Value] = field(default_factory=dict)
    generation: int = 1
    memory: RestartMemory = RestartMemory()
    suspend: Suspend | None = None
    paused_at: float | None = None
    frozen_at: float | None = None
    strangers: tuple[str, ...] = ()
    detached: frozenset[str] = frozenset()
    unmounted: tuple[str, ...] = ()
    weakened: tuple[Weakened, ...] = ()
    has_cgroup: bool = True
    is_rebooted: bool = False
    runs: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def source(self) -> str | None:
        """The owner's identity, None when the reconciler did not make it."""
        return None if self.spec is None else self.spec.source


@frozen
class World:
    """All observed containers by name at one moment (`now`: wall-clock seconds).

    `boot_s` is the same moment in seconds since boot, for durations: nobody sets that clock.
    `unobserved` are containers that exist and could not be looked at, RecordCorrupt or worse:
    nothing more is known of them.
    `failures` are the actions that failed last time, by container name. `health` is what their
    probes have found, by container name; it may be of an earlier run.
    """

    containers: Mapping[str, Observed]
    now: float
    boot_s: float | None = None
    unobserved: Mapping[str, Problem] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)
    health: Mapping[str, Health] = field(default_factory=dict)
