"""All files' results, and what was good before, to one desired state.

Called by `load` alone. Here it is decided which spec is in force for a name: an invalid file
keeps its last good specs, of two files with one name the incumbent wins, and members of a cycle
keep theirs too. Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.errors.codes import ErrorCode
from reconciler.loader.dependencies import refuse_cycles
from reconciler.loader.parsed import Parsed
from reconciler.loader.sources import stem_of
from reconciler.model.spec import Spec
from reconciler.model.world import Problem


class Merged:
    """The outcome: what `Desired` needs. `specs` are also the next pass's last good ones."""

    def __init__(self) -> None:
        self.specs: dict[str, Spec] = {}
        self.problems: list[Problem] = []
        self.invalid: set[str] = set()
        self.unknown_files: list[str] = []


def merge(files: Mapping[str, Parsed], previous: Mapping[str, Spec]) -> Merged:
    """Return which spec is in force for each name.

    `previous` are the last good specs by name; a spec's `origin.file` is the incumbent.
    """
    merged = Merged()
    rivals: dict[str, list[Spec]] = {}
    for parsed in files.values():
        merged.problems += parsed.problems
        for spec in parsed.specs:
            if spec.name in merged.specs:
                rivals.setdefault(spec.name, [merged.specs[spec.name]]).append(spec)
            else:
                merged.specs[spec.name] = spec
    troubled = [file for file, parsed in files.items() if not parsed.is_good()]
    if troubled:
        _keep_last_good(merged, files, troubled, previous, rivals)
    for name, specs in rivals.items():
        _settle(merged, name, specs, previous.get(name))
    cyclic = refuse_cycles(merged.specs, previous, files)
    merged.problems += cyclic.values()
    merged.invalid |= cyclic.keys()
    return merged


def _keep_last_good(
    merged: Merged,
    files: Mapping[str, Parsed],
    troubled: list[str],
    previous: Mapping[str, Spec],
    rivals: dict[str, list[Spec]],
) -> None:
    """Put the last good specs of files in trouble in force.

    What came from a file that does not count any more is a file's of the same stem: it overrides
    the other, or has uncovered it.
    """
    former: dict[str, list[str]] = {}
    for name, spec in previous.items():
        file = spec.origin.file
        former.setdefault(file if file in files else stem_of(file), []).append(name)
    for file in troubled:
        parsed = files[file]
        good = {spec.name for spec in parsed.specs}
        names = (*former.get(file, ()), *former.get(stem_of(file), ()))
        lost = [name for name in names if name not in good]
        merged.invalid.update(lost, parsed.troubled)
        if parsed.has_unnamed and not set(lost) - set(parsed.troubled):
            merged.unknown_files.append(file)
        for name in dict.fromkeys((*lost, *parsed.troubled)):
            kept = previous.get(name)
            if kept is None or name in good:
                continue
            if name not in merged.specs:
                merged.specs[name] = kept
            elif kept.origin.file == file and merged.specs[name] is not kept:
                rivals.setdefault(name, [merged.specs[name]]).append(kept)


def _settle(merged: Merged, name: str, specs: list[Spec], incumbent: Spec | None) -> None:
    """Choose between the specs of one name: the incumbent's file, else the first by name."""
    ordered = sorted(specs, key=lambda spec: (spec.origin.file, spec.origin.line))
    winner = ordered[0]
    if incumbent is not None:
        winner = next((s for s in ordered if s.origin.file == incumbent.origin.file), winner)
    merged.specs[name] = winner
    merged.invalid.add(name)
    place = f"{winner.origin.file}:{winner.origin.line}"
    code = ErrorCode.SpecDuplicateName
    merged.problems += [
        Problem(
            code=int(code),
            name=code.name,
            message=f"the name '{name}' is taken by {place}, which stays in force; rename or"
            " remove one of them",
            file=spec.origin.file,
            line=spec.origin.line,
            column=spec.origin.column,
            field="name",
            spec_name=name,
        )
        for spec in ordered
        if spec is not winner
    ]
