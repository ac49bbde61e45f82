"""Where each value of a container's merged document comes from.

Called by the command line (`show --merged`). It reads files alone, as the loader does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux.clock import wall_s
from reconciler.loader.cache import Cache, cache_path, log_trouble, read_cache
from reconciler.loader.findings import Path, spell_path
from reconciler.loader.look import Found, Look
from reconciler.loader.merge import merge
from reconciler.loader.sources import identify_source

if TYPE_CHECKING:
    from reconciler.loader.document import Node
    from reconciler.loader.parse import Document
    from reconciler.model.spec import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
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


def explain_merged(
    paths: Sequence[str], name: str, state_dir: str | None = None
) -> tuple[MergedValue, ...]:
    """Return every value of the document that gives `name`, in its order, then the defaults.

    The document is what the files say now, valid or not; the last good spec may be another.
    `state_dir` has the load cache, which saves reading all other files.

    Raises: ReconcilerError (NameNotFound when no file gives the name; the code of the file's
    problem when it cannot be read or parsed).
    """
    sources = tuple(dict.fromkeys(map(identify_source, paths)))
    cache = Cache()
    if state_dir is not None:
        cache = read_cache(cache_path(state_dir, sources), sources, log_trouble)
    look = Look(sources, cache, wall_s)
    found = look.take_all()
    file = _find_file(name, found, cache)
    if file is None:
        message = f"cannot show {name}: no file of {', '.join(paths)} gives this name"
        raise ReconcilerError(ErrorCode.NameNotFound, message, container=name)
    document = _read_document(look, file, name)
    if document is None:
        raise _not_readable(name, file, found)
    return (*_given(document), *_defaults(document))


def _find_file(name: str, found: Found, cache: Cache) -> str | None:
    """Return the file whose document is in force for the name, or would be were it valid."""
    spec = merge(found.files, cache.good).specs.get(name)
    if spec is not None and spec.origin.file in found.files:
        return spec.origin.file
    return next((file for file, parsed in found.files.items() if name in parsed.troubled), None)


def _read_document(look: Look, file: str, name: str) -> Document | None:
    from reconciler.loader.parse import split_documents
    from reconciler.loader.sources import FileTrouble

    try:
        data = look.reader.take(file)
    except FileTrouble:
        data = None
    if data is None:
        return None
    documents, failure = split_documents(file, data, look.patches_of(file), look.reader.take)
    return next((one for one in documents if one.name == name and failure is None), None)


def _not_readable(name: str, file: str, found: Found) -> ReconcilerError:
    """Return the error for a file that gives no document at present."""
    problem = next(iter(found.files[file].problems), None)
    if problem is None:
        cause = f"{file} cannot be read at present"
        return ReconcilerError(ErrorCode.SpecUnreadable, f"cannot show {name}: {cause}", file=file)
    return ReconcilerError(
        ErrorCode(problem.code),
        f"cannot show {name}: {problem.message}",
        container=name,
        file=problem.file,
        line=problem.line,
        column=problem.column,
    )


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
    """Yield the path and the default (None: there is none) of each field that is not given."""
    for name, schema in properties.items():
        if "properties" in schema and schema["type"] == "object":
            yield from _walk_defaults(schema["properties"], given.get(name, {}), (*path, name))
        elif name not in given:
            yield (*path, name), schema.get("default")
