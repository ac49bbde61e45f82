"""What changed files ask for, by the reactions that a spec declares for them.

Called by diff for the changes, and by the state table for what is to be done. A file that asks for
a restart counts as any field that does; so does one whose mount no longer shows it: a file that
was replaced by another one, which the container cannot see before its next start. What asks for a
signal or a command waits while the container is paused, and is only noted while it is stopped.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.action import ChangeClass, FieldChange
from reconciler.model.frozen import replace
from reconciler.model.spec import Reaction, ReactionKind, Reference, Spec
from reconciler.model.value import Value
from reconciler.model.world import Observed

_LIVE = (ReactionKind.SIGNAL, ReactionKind.EXEC)
_BY_WEIGHT = (ChangeClass.RESTART, ChangeClass.LIVE, ChangeClass.RECORD)
_SHOWN_DIGITS = 12


def reference_changes(spec: Spec, observed: Observed) -> Iterator[FieldChange]:
    """Yield which files have other contents than when the container was made equal to its spec.

    A source that is gone asks for nothing: it may be about to come back.
    """
    recorded = _recorded(observed)
    digests = {one.path: one.digest for one in recorded.references}
    for path, ones in _by_path(spec).items():
        field, digest = _field_of(spec, ones[0]), ones[0].digest
        if path in digests and _has_changed(spec, ones[0], digests):
            classes = {_class_of(one, observed) for one in ones}
            change_class = next(one for one in _BY_WEIGHT if one in classes)
            yield FieldChange(
                field=field,
                desired=_shown(digest),
                observed=_shown(digests[path]),
                change_class=change_class,
            )
    yield from _declared_changes(spec, recorded)


def class_of_variable(path: str, spec: Spec, observed: Observed) -> ChangeClass | None:
    """Return RECORD for a variable (`env.NAME`) that an env file without restart gives.

    None where it was, or is to be, given by anything else.
    """
    recorded = _recorded(observed)
    name = path.removeprefix("env.")
    sources = [
        {one.path for one in side.references if name in one.env_names}
        if name in side.config.env
        else {one.path for one in side.references}
        for side in (spec, recorded)
    ]
    return ChangeClass.RECORD if sources[0] & sources[1] else None


def due_reactions(spec: Spec, observed: Observed) -> tuple[Reaction, ...]:
    """Return the signals and commands that changed files ask for, each once."""
    digests = {one.path: one.digest for one in _recorded(observed).references}
    due = (
        one.reaction
        for one in spec.references
        if one.reaction.kind in _LIVE and one.path in digests and _has_changed(spec, one, digests)
    )
    return tuple(dict.fromkeys(due))


def hold_references(spec: Spec, observed: Observed) -> Spec:
    """Return the spec with the files as they were, where what they ask for is yet to be done."""
    if not observed.status.has_processes() or not due_reactions(spec, observed):
        return spec
    recorded = _recorded(observed)
    config = replace(spec.config, env=recorded.config.env)
    return replace(spec, config=config, references=recorded.references)


def is_of_reference(change: FieldChange) -> bool:
    """Tell whether a change is one of those that `hold_references` holds."""
    return change.field.startswith(("mounts.", "envFile.", "env."))


def _has_changed(spec: Spec, one: Reference, digests: dict[str, str | None]) -> bool:
    is_gone = one.digest is None and _is_mounted(spec, one)
    return one.digest != digests[one.path] and not is_gone


def _class_of(one: Reference, observed: Observed) -> ChangeClass:
    if one.reaction.kind is ReactionKind.RESTART:
        return ChangeClass.RESTART
    if one.reaction.kind is ReactionKind.IGNORE or not observed.status.has_processes():
        return ChangeClass.RECORD
    return ChangeClass.RESTART if one.path in observed.detached else ChangeClass.LIVE


def _declared_changes(spec: Spec, recorded: Spec) -> Iterator[FieldChange]:
    """Yield for which files another reaction is declared."""
    ours, theirs = _by_path(spec), _by_path(recorded)
    for path in sorted(ours.keys() | theirs.keys()):
        one, other = _reactions(ours.get(path)), _reactions(theirs.get(path))
        if one != other:
            source = spec if path in ours else recorded
            field = _field_of(source, (ours.get(path) or theirs[path])[0])
            yield FieldChange(
                field=f"{field.removesuffix(' content')} onChange",
                desired=one,
                observed=other,
                change_class=ChangeClass.RECORD,
            )


def _by_path(spec: Spec) -> dict[str, list[Reference]]:
    found: dict[str, list[Reference]] = {}
    for one in spec.references:
        found.setdefault(one.path, []).append(one)
    return found


def _field_of(spec: Spec, one: Reference) -> str:
    return f"mounts.{one.path} content" if _is_mounted(spec, one) else f"envFile.{one.path} content"


def _is_mounted(spec: Spec, one: Reference) -> bool:
    return any(mount.source == one.path for mount in spec.config.mounts)


def _reactions(ones: list[Reference] | None) -> Value:
    return None if ones is None else "; ".join(one.reaction.describe() for one in ones)


def _shown(digest: str | None) -> Value:
    return None if digest is None else digest[:_SHOWN_DIGITS]


def _recorded(observed: Observed) -> Spec:
    if observed.spec is None:
        raise ValueError(f"internal error: {observed.name} is not the reconciler's own")
    return observed.spec
