"""Where each value of a container's merged document comes from.

Called by the command line (`show --merged`). It reads files alone, as the loader does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux.clock import wall_s
from reconciler.loader.cache import Cache, cache_path, log_trouble, read_cache
from reconciler.loader.findings import Path, spell_path
from reconciler.loader.look import Found, Look
from reconciler.loader.merge import Merged, merge
from reconciler.loader.sources import (
    FileTrouble,
    describe_mask,
    find_mask,
    identify_source,
    stem_of,
)
from reconciler.model.frozen import frozen
from reconciler.model.world import Problem

if TYPE_CHECKING:
    from reconciler.loader.document import Node
    from reconciler.loader.parse import Document
    from reconciler.loader.parsed import Parsed
    from reconciler.model.spec import Spec


@frozen
class MergedValue:
    """One value with its field (`mounts[0].source`) and its place; a default has no place.

    A list without mappings in it is one value, since drop-ins replace it as one.
    """

    path: str
    value: Any
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def describe_origin(self) -> str:
        """Return `file:line`, or `default`."""
        return "default" if self.file is None else f"{self.file}:{self.line}"


@frozen
class Explained:
    """All values of a merged document, and all that is wrong with it: then it is not in force."""

    values: tuple[MergedValue, ...]
    problems: tuple[Problem, ...]


def explain_merged(paths: Sequence[str], name: str, state_dir: str | None = None) -> Explained:
    """Return every value of the document that gives `name`, in its order, then the defaults.

    The document is what the files say now, valid or not; the last good spec may be another. Of
    a file that cannot be read or parsed there are the problems alone. `state_dir` has the load
    cache, which saves reading all other files.

    Raises: ReconcilerError (NameNotFound when no file gives the name).
    """
    sources = tuple(dict.fromkeys(map(identify_source, paths)))
    cache = Cache()
    if state_dir is not None:
        cache = read_cache(cache_path(state_dir, sources), sources, log_trouble)
    look = Look(sources, cache, wall_s)
    found = look.take_all()
    merged = merge(found.files, cache.good)
    file = _find_file(name, found, merged)
    if file is None:
        raise _not_found(name, found, merged, find_mask(sources, name))
    document = _read_document(look, file, name)
    told = (one for one in merged.problems if one.spec_name in (name, None))
    own = (one for one in told if one.spec_name == name or one.file == file)
    values = () if document is None else (*_given(document), *_defaults(document))
    return Explained(values=values, problems=(*found.problems, *sorted(own, key=_place)))


def _find_file(name: str, found: Found, merged: Merged) -> str | None:
    """Return the file whose document is in force for the name, or would be were it valid."""
    spec = merged.specs.get(name)
    if spec is not None and spec.origin.file in found.files:
        return spec.origin.file
    troubled = [file for file, parsed in found.files.items() if not parsed.is_good()]
    files = (
        *(file for file, parsed in found.files.items() if name in _names(parsed)),
        *(file for file in troubled if stem_of(file) == name),
    )
    return next(iter(files), None)


def _names(parsed: Parsed) -> set[str]:
    """Return the names that a file gives: of what is valid, in a cycle or not, and of the rest."""
    return {spec.name for spec in parsed.specs}.union(parsed.troubled)


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.file or "", problem.line or 0, problem.column or 0


def _not_found(name: str, found: Found, merged: Merged, mask: str | None) -> ReconcilerError:
    from difflib import get_close_matches

    troubled = {one for parsed in found.files.values() for one in parsed.troubled}
    near = get_close_matches(name, merged.specs.keys() | troubled, n=1)
    trouble = {problem.file: problem.message for problem in found.problems}
    looked_at = ", ".join(
        f"{one.path} ({trouble[one.path]})" if one.path in trouble else one.path
        for one in found.sources
    )
    hint = f"; did you mean {near[0]}?" if near else ""
    message = f"cannot show {name}: no file gives this name{hint}; looked at: {looked_at}"
    if mask is not None:
        message = f"cannot show {name}: {describe_mask(mask)}"
    return ReconcilerError(ErrorCode.NameNotFound, message, container=name)


def _read_document(look: Look, file: str, name: str) -> Document | None:
    from reconciler.loader.parse import split_documents

    try:
        data = look.reader.take(file)
    except FileTrouble:
        return None
    if data is None:
        return None
    documents, _ = split_documents(file, data, look.patches_of(file), look.reader)
    return next((one for one in documents if one.name == name), None)


def _given(document: Document) -> Iterator[MergedValue]:
    """Yield what the files give; a variable of an env file is `env.NAME`."""
    yield from _leaves(document.node, ())
    own = document.node.find(("env",)).keys if isinstance(document.node.data, dict) else {}
    for name, value in document.env.items():
        if name not in own or "env" not in document.node.data:
            path = spell_path(("env", name)) or ""
            yield MergedValue(
                path=path, value=value.text, file=value.file, line=value.line, column=1
            )


def _leaves(node: Node, path: Path) -> Iterator[MergedValue]:
    if isinstance(node.data, dict) and node.data:
        for name, child in node.children.items():
            yield from _leaves(child, (*path, name))
    elif isinstance(node.data, list) and any(isinstance(item, dict) for item in node.data):
        for index, child in enumerate(node.children):
            yield from _leaves(child, (*path, index))
    else:
        yield MergedValue(
            path=spell_path(path) or "",
            value=node.data,
            file=node.file,
            line=node.line,
            column=node.column,
        )


def _defaults(document: Document) -> Iterator[MergedValue]:
    """Yield what no file gives: the schema's defaults, and those that depend on other fields."""
    from reconciler.loader.schema import inline_references, load_schema

    if document.spec is None or not isinstance(document.node.data, dict):
        return
    given = document.node.data
    if document.env:
        given = given | {"env": {}}
    depending = _depending(document.spec)
    schema = inline_references(load_schema(), load_schema()["$defs"])
    for path, default in _walk_defaults(schema["properties"], given, ()):
        text = spell_path(path) or ""
        value = depending.get(text, default)
        if value is not None:
            yield MergedValue(path=text, value=value)


def _depending(spec: Spec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "user": spec.config.user_or_default(),
        "hostname": spec.config.hostname or spec.name,
        "rootfs.readonly": spec.config.rootfs.readonly,
        "restart.policy": spec.restart.policy.value,
    }


def _walk_defaults(
    properties: dict[str, Any], given: dict[str, Any], path: Path
) -> Iterator[tuple[Path, Any]]:
    """Yield the path and the default (None: there is none) of each field that is not given.

    What is in a mapping counts where the mapping is given, or is there by default.
    """
    for name, schema in properties.items():
        value = given.get(name, schema.get("default"))
        if "properties" in schema and isinstance(value, dict):
            yield from _walk_defaults(schema["properties"], value, (*path, name))
        elif name not in given:
            yield (*path, name), value
