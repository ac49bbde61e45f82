"""Which containers no spec names any more, and the guards against removing too many.

Called by make_plan. Only what a desired source owns is ever pruned, and only while that source
can be trusted: it could be read, it is not suddenly empty, and every file of it is understood.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.errors import ErrorCode
from reconciler.model.action import Destroy
from reconciler.model.world import Desired, Observed, Problem, Source, SourceStatus, World

# Removing this few is never suspicious.
ALWAYS_FINE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(slots=True)
class Pruned:
    """What is to be destroyed, and what was refused."""

    actions: list[Destroy] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def plan_prune(desired: Desired, world: World, options: PlanOptions) -> Pruned:
    """Return the destroys of every source that may be pruned, and why others may not."""
    pruned = Pruned()
    if not options.prune:
        return pruned
    for source in desired.sources:
        owned = [one for one in world.containers.values() if _is_of(one, source)]
        unwanted = sorted(
            one.name
            for one in owned
            if one.name not in desired.specs and one.name not in desired.invalid
        )
        refusal = _refusal(source, unwanted, len(owned), desired, options)
        if refusal is not None:
            pruned.problems.append(refusal)
        elif _is_trusted(source):
            pruned.actions += _destroys(source, unwanted, world)
    return pruned


def _is_trusted(source: Source) -> bool:
    """Tell whether the source could be read; the loader has told of it if not."""
    return source.status in (SourceStatus.OK, SourceStatus.EMPTY)


def _refusal(
    source: Source, unwanted: list[str], owned: int, desired: Desired, options: PlanOptions
) -> Problem | None:
    if not unwanted or not _is_trusted(source):
        return None
    unknown = [path for path in desired.unknown_files if _may_be_of(path, desired, source)]
    if unknown:
        return Problem.of(
            ErrorCode.PruneRefused,
            f"cannot prune {_list(unwanted)}: {_list(unknown)} is not understood and may be "
            "theirs; repair or remove it",
        )
    if source.status is SourceStatus.EMPTY:
        return None if options.allow_empty else _empty(source, owned)
    if len(unwanted) > ALWAYS_FINE and len(unwanted) * 100 > options.max_prune_percent * owned:
        return Problem.of(
            ErrorCode.PruneRefused,
            f"cannot prune {len(unwanted)} of the {owned} containers of {source.path}: more than "
            f"{options.max_prune_percent} percent; if that is meant, use --max-prune PERCENT",
        )
    return None


def _empty(source: Source, owned: int) -> Problem:
    return Problem.of(
        ErrorCode.SourceEmpty,
        f"cannot prune all {owned} containers of {source.path}: it has become empty; "
        "if that is meant, use --allow-empty",
    )


def _may_be_of(path: str, desired: Desired, source: Source) -> bool:
    """Tell whether a file is in the source, or in none that is known."""
    holders = [one for one in desired.sources if f"{path}/".startswith(f"{one.path.rstrip('/')}/")]
    return not holders or source in holders


def _destroys(source: Source, names: list[str], world: World) -> Iterable[Destroy]:
    for name in names:
        spec = world.containers[name].spec
        if spec is not None:
            yield Destroy(name=name, spec=spec, reason=f"no file in {source.path} names it")


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
