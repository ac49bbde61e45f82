"""What a plan is made of: a closed union of actions, each able to describe itself.

Made by planning, carried out by control, shown by the command line. Match an `Action` with
`match` and `assert_never`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from reconciler.lean import StrEnum
from reconciler.model.frozen import field, frozen
from reconciler.model.moment import format_time
from reconciler.model.spec import DriftPolicy, Reaction, Spec, Suspend
from reconciler.model.value import Value
from reconciler.model.world import Problem, RestartMemory

HIDDEN = "(hidden)"
"""What is shown in place of a value that may be secret."""


class ChangeClass(StrEnum):
    """What a change of a field needs.

    live: applied to the running container. restart: init is stopped and started in the same
    container. recreate: destroyed and made anew. record: only the record is rewritten. never:
    nothing that the reconciler does would change it.
    """

    LIVE = "live"
    RECORD = "record"
    RESTART = "restart"
    RECREATE = "recreate"
    NEVER = "never"

    def spell(self) -> str:
        """Return what people and programs are told: what only the record knows changes live."""
        return (ChangeClass.LIVE if self is ChangeClass.RECORD else self).value


@frozen
class FieldChange:
    """One field that differs: path as in the spec, values of both sides as a spec writes them.

    `policy` is what becomes of drift; None: the file has changed, and that is always applied.
    """

    field: str
    desired: Value
    observed: Value
    change_class: ChangeClass
    policy: DriftPolicy | None = None

    def is_enforced(self) -> bool:
        """Tell whether it is to be mended."""
        return self.policy in (None, DriftPolicy.ENFORCE)

    def describe(self) -> str:
        """Return `user 0:0 -> 1000:1000`, without the values of environment variables."""
        desired, observed = map(spell_value, self.shown())
        return f"{self.field} {observed} -> {desired}"

    def shown(self) -> tuple[Value, Value]:
        """Return the desired and the observed value as they may be told to anybody.

        Environment variables may be secret: of them only whether they are set.
        """
        if not self.field.startswith("env."):
            return self.desired, self.observed
        return _hidden(self.desired), _hidden(self.observed)

    def to_json(self) -> dict[str, Any]:
        """Return `{field, desired, observed, class}`, with the values as `shown`."""
        desired, observed = self.shown()
        return {
            "field": self.field,
            "desired": desired,
            "observed": observed,
            "class": self.change_class.spell(),
        }


def _hidden(value: Value) -> Value:
    return None if value is None else HIDDEN


def spell_value(value: Value) -> str:
    """Return a value for people: `none`, `true`, `[a, b]`, text and numbers as they are."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(spell_value, value)) + "]"
    return str(value)


@frozen
class BaseAction:
    """What every action has: the container, its spec, why, and which fields differ.

    `verb` is the action's name in JSON and logs. Actions of a lower `stage` are carried out
    first, as they free what others may need, and in a stage those of a lower `wave`. A start is
    not tried unless the actions on the containers in `after` have succeeded. An action that
    succeeds leaves the record of the container equal to `spec`.
    """

    verb: ClassVar[str]
    stage: ClassVar[int] = 3
    name: str
    spec: Spec
    reason: str
    changes: tuple[FieldChange, ...] = ()
    wave: int = 0
    after: tuple[str, ...] = ()

    def turn(self) -> tuple[int, int]:
        """Return when it is carried out: side by side with those of the same turn."""
        return self.stage, self.wave

    def describe(self) -> str:
        """Return one line for people: `restart web: user 0:0 -> 1000:1000`."""
        why = "; ".join(change.describe() for change in self.changes) or self.reason
        return f"{self.verb} {self.name}: {why}"

    def to_json(self) -> dict[str, Any]:
        """Return `{action, name, reason, changes}`."""
        return {
            "action": self.verb,
            "name": self.name,
            "reason": self.reason,
            "changes": [change.to_json() for change in self.changes],
        }


@frozen
class Create(BaseAction):
    """Create the container; start it unless it is to be stopped; pause it if it is to be paused."""

    verb: ClassVar[str] = "create"


@frozen
class Recreate(BaseAction):
    """Stop gracefully, destroy, and create anew as `Create` does, keeping the logs."""

    verb: ClassVar[str] = "recreate"


@frozen
class Start(BaseAction):
    """Start an existing container whose init has ended or never ran; pause it if it is to be.

    `memory` is to be written with the start.
    """

    verb: ClassVar[str] = "start"
    memory: RestartMemory = RestartMemory()


@frozen
class Restart(BaseAction):
    """Stop gracefully and start again with a new Config; pause it if it is to be."""

    verb: ClassVar[str] = "restart"
    memory: RestartMemory = RestartMemory()


@frozen
class Update(BaseAction):
    """Apply limits to the container, where they differ, and rewrite its record."""

    verb: ClassVar[str] = "update"
    stage: ClassVar[int] = 2


@frozen
class React(BaseAction):
    """Do what `Update` does, and what changes of files ask for, before the record is rewritten."""

    verb: ClassVar[str] = "react"
    stage: ClassVar[int] = 2
    reactions: tuple[Reaction, ...]


@frozen
class Pause(BaseAction):
    """Freeze the container's processes."""

    verb: ClassVar[str] = "pause"
    stage: ClassVar[int] = 2


@frozen
class Resume(BaseAction):
    """Thaw the container's processes."""

    verb: ClassVar[str] = "resume"
    stage: ClassVar[int] = 2


@frozen
class StopAction(BaseAction):
    """Stop gracefully and leave it stopped.

    `memory` is to be written before the signal; None: what is remembered, as stopped.
    `is_to_restart`: it is started again by the next pass, after what it restarts with.
    """

    verb: ClassVar[str] = "stop"
    stage: ClassVar[int] = 1
    memory: RestartMemory | None = None
    is_to_restart: bool = False


@frozen
class Destroy(BaseAction):
    """Stop gracefully and remove everything: prune. `spec` is the last one it had."""

    verb: ClassVar[str] = "destroy"
    stage: ClassVar[int] = 0

    def turn(self) -> tuple[int, int]:
        """Return when it is carried out: with the stops, if others are to stop before it."""
        return (StopAction.stage if self.wave else self.stage), self.wave


@frozen
class Freeze(BaseAction):
    """Pause what no file names any more, to be destroyed later: prune. `spec` is its last one.

    `at` is since when (wall-clock seconds): what is frozen already keeps its own time.
    """

    verb: ClassVar[str] = "freeze"
    stage: ClassVar[int] = 0
    at: float


Action = (
    Create
    | Recreate
    | Start
    | Restart
    | Update
    | React
    | Pause
    | Resume
    | StopAction
    | Freeze
    | Destroy
)


class WaitKind(StrEnum):
    """What is waited for: a backoff, the deadline of a job that runs, a suspension's end, the
    end of the time for which what no file names is kept frozen, other containers.
    """

    BACKOFF = "backoff"
    DEADLINE = "deadline"
    SUSPENDED = "suspended"
    FROZEN = "frozen"
    DEPENDENCY = "dependency"


@frozen
class Wait:
    """Nothing to do before `until` (wall-clock seconds; None: nobody knows when).

    `attempts` is how many ends or failures in a row a backoff answers. `can_come`: what is
    waited for may come without anybody's help. `is_retry`: of an action that failed, which
    `reconciler apply` tries again at once.
    """

    name: str
    until: float | None
    reason: str
    attempts: int = 0
    kind: WaitKind = WaitKind.BACKOFF
    can_come: bool = True
    is_retry: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return `{name, until, reason, isRetry}`; `until` is RFC 3339 text."""
        return {
            "name": self.name,
            "until": None if self.until is None else format_time(self.until),
            "reason": self.reason,
            "isRetry": self.is_retry,
        }


@frozen
class Plan:
    """Actions in order, waits, what was refused or is wrong, and what is suspended, by name.

    `reported` is drift, by name, that a policy says not to mend; `orphaned` are containers that
    no file names any more and that are left alone.
    """

    actions: tuple[Action, ...] = ()
    waits: tuple[Wait, ...] = ()
    problems: tuple[Problem, ...] = ()
    suspended: Mapping[str, Suspend] = field(default_factory=dict)
    reported: Mapping[str, tuple[FieldChange, ...]] = field(default_factory=dict)
    orphaned: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """Return `{actions, waits, problems}`: what `plan --output json` prints."""
        return {
            "actions": [action.to_json() for action in self.actions],
            "waits": [wait.to_json() for wait in self.waits],
            "problems": [problem.to_json() for problem in self.problems],
        }
