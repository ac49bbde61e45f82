"""Which containers no spec names any more, what becomes of them, and the guards against too many.

Called by make_plan. Only what a desired source owns is ever pruned, and only while that source
can be trusted: it could be read, it is not suddenly empty, and every file of it is understood.
The last spec of a container says how: it is destroyed, frozen and destroyed later, or left as it
is. The guards are for destroying and freezing alike. What is frozen has passed them: all that is
asked before it is destroyed is whether a file that is not understood may be its.
"""

from __future__ import annotations

from reconciler.errors import ErrorCode
from reconciler.model.action import Destroy, Freeze, Wait, WaitKind
from reconciler.model.frozen import frozen
from reconciler.model.quantity import format_duration
from reconciler.model.spec import NS, PruneMode
from reconciler.model.state import Status
from reconciler.model.world import Desired, Observed, Problem, Source, SourceStatus, World

# Removing this few is never suspicious.
ALWAYS_FINE = 2


@frozen
class PlanOptions:
    """What the user allows a plan to do.

    `max_prune_percent` of what a source owns may be destroyed in one pass (one or two always
    may); `allow_empty`: also when a source has become empty. `retry_failed`: try actions again
    whose backoff after a failure still runs.
    """

    prune: bool = True
    allow_empty: bool = False
    max_prune_percent: int = 50
    retry_failed: bool = False


class Pruned:
    """What is to be destroyed or frozen, now or later; what was refused; what is left alone."""

    def __init__(self) -> None:
        self.steps: list[Destroy | Freeze | Wait] = []
        self.problems: list[Problem] = []
        self.orphaned: set[str] = set()


def plan_prune(desired: Desired, world: World, options: PlanOptions) -> Pruned:
    """Return what becomes of all that no spec names, for every source, and why not, if refused."""
    pruned = Pruned()
    for source in desired.sources:
        if _is_trusted(source):
            _prune_source(pruned, source, desired, world, options)
    return pruned


def _prune_source(
    pruned: Pruned, source: Source, desired: Desired, world: World, options: PlanOptions
) -> None:
    owned = [one for one in world.containers.values() if _is_of(one, source)]
    unnamed = sorted(
        (one for one in owned if one.name not in desired.specs and one.name not in desired.invalid),
        key=lambda one: one.name,
    )
    orphaned = {one.name for one in unnamed if _mode(one) is PruneMode.ORPHAN}
    pruned.orphaned |= orphaned
    unwanted = [one for one in unnamed if one.name not in orphaned]
    if not unwanted or not options.prune:
        return
    unknown = _not_understood(source, unwanted, desired)
    if unknown is not None:
        pruned.problems.append(unknown)
        return
    fresh = [one for one in unwanted if one.frozen_at is None]
    refusal = _refusal(source, [one.name for one in fresh], len(owned), options)
    if refusal is not None:
        pruned.problems.append(refusal)
        unwanted = [one for one in unwanted if one.frozen_at is not None]
    pruned.steps += [_step(one, source, world.now) for one in unwanted]


def _step(observed: Observed, source: Source, now: float) -> Destroy | Freeze | Wait:
    spec = observed.spec
    assert spec is not None
    reason = f"no file in {source.path} names it"
    if spec.prune.mode is PruneMode.DESTROY:
        return Destroy(name=spec.name, spec=spec, reason=reason)
    frozen_at = now if observed.frozen_at is None else observed.frozen_at
    until = frozen_at + spec.prune.ttl_ns / NS
    if until <= now:
        kept = f"{reason}, and it was kept frozen for {format_duration(spec.prune.ttl_ns)}"
        return Destroy(name=spec.name, spec=spec, reason=kept)
    if observed.frozen_at is None or observed.status is Status.RUNNING:
        return Freeze(name=spec.name, spec=spec, reason=reason, at=frozen_at)
    reason = f"{reason}: it is kept frozen, and then destroyed"
    return Wait(name=spec.name, until=until, reason=reason, kind=WaitKind.FROZEN)


def _is_trusted(source: Source) -> bool:
    """Tell whether the source could be read; the loader has told of it if not."""
    return source.status in (SourceStatus.OK, SourceStatus.EMPTY)


def _not_understood(source: Source, unwanted: list[Observed], desired: Desired) -> Problem | None:
    unknown = [path for path in desired.unknown_files if _may_be_of(path, desired, source)]
    if not unknown:
        return None
    return Problem.of(
        ErrorCode.PruneRefused,
        f"cannot prune {_list([one.name for one in unwanted])}: {_list(unknown)} is not understood "
        "and may be theirs; repair or remove it",
    )


def _refusal(
    source: Source, unwanted: list[str], owned: int, options: PlanOptions
) -> Problem | None:
    if not unwanted:
        return None
    if source.status is SourceStatus.EMPTY:
        return None if options.allow_empty else _empty(source, len(unwanted))
    if len(unwanted) > ALWAYS_FINE and len(unwanted) * 100 > options.max_prune_percent * owned:
        return Problem.of(
            ErrorCode.PruneRefused,
            f"cannot prune {len(unwanted)} of the {owned} containers of {source.path}: more than "
            f"{options.max_prune_percent} percent; if that is meant, use --max-prune PERCENT",
        )
    return None


def _empty(source: Source, number: int) -> Problem:
    return Problem.of(
        ErrorCode.SourceEmpty,
        f"cannot prune all {number} containers of {source.path}: it has become empty; "
        "if that is meant, use --allow-empty",
    )


def _may_be_of(path: str, desired: Desired, source: Source) -> bool:
    """Tell whether a file is in the source, or in none that is known."""
    holders = [one for one in desired.sources if f"{path}/".startswith(f"{one.path.rstrip('/')}/")]
    return not holders or source in holders


def _mode(observed: Observed) -> PruneMode | None:
    return None if observed.spec is None else observed.spec.prune.mode


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def is_owned(observed: Observed, desired: Desired) -> bool:
    """Tell whether the container comes from one of the desired sources."""
    return any(_is_of(observed, source) for source in desired.sources)


def _is_of(observed: Observed, source: Source) -> bool:
    """Tell whether the container comes from the source: the directory, or the one file."""
    if observed.spec is None:
        return False
    return source.path in (observed.spec.source, observed.spec.origin.file)
