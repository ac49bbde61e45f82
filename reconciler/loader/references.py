"""Which files a document refers to, and what is to be done when one of them has changed.

Called by `parse` with a document that the schema and the rules have accepted. It reads nothing.
An env file whose changes ask for a restart is no reference: its variables are compared one by
one, so that a changed comment in it asks for nothing.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from reconciler.loader.build import build_reaction
from reconciler.loader.findings import Path
from reconciler.model.spec import Reaction, ReactionKind, Reference

_BaseOf = Callable[[Path], str]


class Referred(NamedTuple):
    """A file (absolute) that a document names in the field at `path`."""

    file: str
    path: Path
    reaction: Reaction


class EnvFile(NamedTuple):
    """An env file that a document names; it may be missing if it is optional."""

    file: str
    path: Path
    reaction: Reaction
    is_optional: bool


def find_env_files(data: dict[str, Any], base_of: _BaseOf) -> Iterator[EnvFile]:
    """Yield the env files in their order."""
    given = data.get("envFile", [])
    paths: list[Path] = [("envFile",)]
    if isinstance(given, list):
        paths = [("envFile", index) for index in range(len(given))]
    for path, item in zip(paths, given if isinstance(given, list) else [given], strict=True):
        text = item["path"] if isinstance(item, dict) else item
        reaction = item.get("onChange", "restart") if isinstance(item, dict) else "restart"
        file = os.path.normpath(os.path.join(base_of(path), text.removeprefix("-")))
        yield EnvFile(file, path, build_reaction(reaction), text.startswith("-"))


def find_references(
    data: dict[str, Any], env_files: Sequence[EnvFile], base_of: _BaseOf
) -> Iterator[Referred]:
    """Yield what is to be looked at for changes: once for each field that asks for it."""
    for one in env_files:
        if one.reaction.kind is not ReactionKind.RESTART:
            yield Referred(one.file, one.path, one.reaction)
    for index, mount in enumerate(data.get("mounts", ())):
        reaction = build_reaction(mount.get("onChange", "ignore"))
        if reaction.kind is not ReactionKind.IGNORE:
            base = base_of(("mounts", index))
            file = os.path.normpath(os.path.join(base, mount["source"]))
            yield Referred(file, ("mounts", index, "source"), reaction)


def make_references(
    found: Sequence[Referred], digests: Mapping[str, str | None], env: Mapping[str, str]
) -> tuple[Reference, ...]:
    """Return the references sorted by path, each once.

    `env` has the env file that gives a variable, for those that come from one.
    """
    references = {}
    for one in found:
        names = (name for name, file in env.items() if file == one.file)
        is_env = one.path[0] == "envFile"
        references[one.file, one.reaction, is_env] = Reference(
            path=one.file,
            reaction=one.reaction,
            digest=digests.get(one.file),
            env_names=tuple(sorted(names)) if is_env else (),
        )
    return tuple(sorted(references.values(), key=_sort_key))


def _sort_key(one: Reference) -> tuple[str, str, str, tuple[str, ...], tuple[str, ...]]:
    reaction = one.reaction
    return one.path, reaction.kind, reaction.signal or "", reaction.command, one.env_names
