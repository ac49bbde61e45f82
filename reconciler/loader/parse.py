"""One file's bytes to specs and problems.

Called by `look` and `explain` alone: everything slow (yaml, jsonschema) is behind here. It
raises nothing for bad input: what is wrong becomes a `Problem` with its place.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from reconciler.errors.codes import ErrorCode
from reconciler.loader.build import build_spec
from reconciler.loader.document import DocumentError, Node, decode_text, read_documents
from reconciler.loader.env_file import EnvValue, read_content, read_env
from reconciler.loader.findings import Finding, Path, spell_path
from reconciler.loader.messages import explain_errors
from reconciler.loader.parsed import Parsed, make_problem
from reconciler.loader.patch import Patch, Patches, apply_patches
from reconciler.loader.rules import check_rules
from reconciler.loader.schema import find_errors
from reconciler.loader.sources import FileTrouble, stem_of
from reconciler.model.names import explain_id, is_valid_id
from reconciler.model.spec import Origin, Spec
from reconciler.model.world import Problem

MAX_PROBLEMS = 100  # of one file; more would help nobody


def parse_file(
    file: str,
    data: bytes,
    patches: Patches = Patches(),  # noqa: B008  (frozen)
    read: Callable[[str], bytes | None] = read_content,
) -> Parsed:
    """Return what the file (absolute path) with the content `data` asks for.

    `patches` are its drop-ins; `read` gives the content of an env file, None when it is
    missing, or raises FileTrouble.
    """
    documents, failure = split_documents(file, data, patches, read)
    problems = [problem for result in documents for problem in result.problems][:MAX_PROBLEMS]
    problems += _unused_patches(file, documents, patches)
    if failure is None:
        bad = [result for result in documents if result.spec is None]
        specs = tuple(result.spec for result in documents if result.spec is not None)
    else:  # nobody knows what a document before the failure was to become
        problems.append(failure)
        bad, specs = documents, ()
    return Parsed(
        specs=specs,
        problems=tuple(problems),
        troubled=tuple(result.name for result in bad if result.name is not None),
        has_unnamed=failure is not None or any(result.name is None for result in bad),
        env_files=tuple(dict.fromkeys(env for result in documents for env in result.env_files)),
    )


def split_documents(
    file: str, data: bytes, patches: Patches, read: Callable[[str], bytes | None]
) -> tuple[list[Document], Problem | None]:
    """Return the documents of a file, judged, and why there are not more of them."""
    nodes: list[Node] = []
    problem: Problem | None = None
    try:
        for node in read_documents(decode_text(data, is_json=file.endswith(".json")), file):
            nodes.append(node)
        if not nodes:
            raise DocumentError(ErrorCode.SpecSyntax, "the file is empty", 1, 1)
    except DocumentError as error:
        problem = make_problem(error.code, error.message, file, error.line, error.column)
    documents = []
    for index, node in enumerate(nodes):
        chosen = [*patches.common]
        if len(nodes) == 1 or _find_name(file, index, node) == stem_of(file):
            chosen += patches.own
        documents.append(Document(file, index, node, chosen, read))
    return documents, problem


def _unused_patches(
    file: str, documents: Sequence[Document], patches: Patches
) -> Iterator[Problem]:
    """Yield the problem of drop-ins that are for none of a file's documents."""
    stem = stem_of(file)
    if patches.own and len(documents) > 1 and all(one.name != stem for one in documents):
        message = f"no document of {file} is named '{stem}', so that this applies to none"
        yield make_problem(ErrorCode.SpecSchema, message, patches.own[0].file, 1, 1)


class Document:
    """One document's outcome: a spec or problems; `name` where it is known.

    `node` has the drop-ins merged over it. `env` are the variables of its env files, each with
    its file and line.
    """

    def __init__(
        self,
        file: str,
        index: int,
        node: Node,
        patches: Sequence[Patch],
        read: Callable[[str], bytes | None],
    ) -> None:
        self.spec: Spec | None = None
        self.name = _find_name(file, index, node)
        self.node = node = apply_patches(node, patches)
        findings = list(islice(_find_problems(file, index, node), MAX_PROBLEMS))
        self.problems = [
            replace(one.problem, spec_name=self.name) for one in patches if one.problem
        ]
        self.problems += [self._place(finding, node) for finding in findings]
        self.env: dict[str, EnvValue] = {}
        self.env_files: list[str] = []
        if isinstance(node.data, dict) and all(one.path[:1] != ("envFile",) for one in findings):
            self._read_env(read)
        if not self.problems and self.name is not None:
            origin = Origin(file=file, line=node.line, column=node.column)
            self.spec = build_spec(self._data_with_env(), self.name, origin, self._base_of)

    def _data_with_env(self) -> dict[str, Any]:
        data: dict[str, Any] = self.node.data
        if not self.env:
            return data
        env = {name: value.text for name, value in self.env.items()}
        return data | {"env": env | data.get("env", {})}

    def _base_of(self, path: Path) -> str:
        """Return the directory that a relative path at `path` is relative to."""
        return os.path.dirname(self.node.find(path).file)

    def _read_env(self, read: Callable[[str], bytes | None]) -> None:
        """Read all env files; what is wrong with one is a problem of the field."""
        given = self.node.data.get("envFile", [])
        paths: list[Path] = [("envFile",)]
        if isinstance(given, list):
            paths = [("envFile", index) for index in range(len(given))]
        for path, text in zip(paths, given if isinstance(given, list) else [given], strict=True):
            file = os.path.normpath(os.path.join(self._base_of(path), text.removeprefix("-")))
            self.env_files.append(file)
            try:
                self.env |= read_env(file, read, is_optional=text.startswith("-"))
            except FileTrouble as trouble:
                finding = Finding(ErrorCode.SpecValue, path, trouble.message)
                self.problems.append(self._place(finding, self.node))
            except DocumentError as error:
                problem = make_problem(error.code, error.message, file, error.line, error.column)
                self.problems.append(replace(problem, spec_name=self.name))

    def _place(self, finding: Finding, root: Node) -> Problem:
        """Return the problem with the place of the finding's field."""
        *parents, last = finding.path or ("",)
        parent = root.find(tuple(parents))
        node = root.find(finding.path)
        line, column = node.line, node.column
        if finding.is_key and last in parent.keys:
            line, column = parent.keys[str(last)]
        return Problem(
            code=int(finding.code),
            name=finding.code.name,
            message=finding.message,
            file=node.file,
            line=line,
            column=column,
            field=spell_path(finding.path),
            spec_name=self.name,
        )


def _find_name(file: str, index: int, node: Node) -> str | None:
    """Return the valid name of a document, given or by default, or None."""
    data = node.data
    if not isinstance(data, dict):
        return None
    name = data.get("name", stem_of(file) if index == 0 else None)
    return name if isinstance(name, str) and is_valid_id(name) else None


def _find_problems(file: str, index: int, node: Node) -> Iterator[Finding]:
    """Yield the findings of the schema, then those of the rules on what the schema accepts."""
    data = node.data
    refused: set[Path] = set()
    for finding in explain_errors(find_errors(data), node):
        refused.add(finding.path[:2])
        yield finding
    if not isinstance(data, dict):
        return
    if "name" not in data:
        yield from _check_default_name(file, index)
    yield from check_rules(_without(data, refused) if refused else data)


def _without(data: dict[str, Any], refused: set[Path]) -> dict[str, Any]:
    """Return the data without what is at the refused paths (of one or two steps)."""
    kept = {key: value for key, value in data.items() if (key,) not in refused}
    for key, value in kept.items():
        if isinstance(value, dict):
            kept[key] = {name: item for name, item in value.items() if (key, name) not in refused}
        elif isinstance(value, list):
            kept[key] = [None if (key, i) in refused else item for i, item in enumerate(value)]
    return kept


def _check_default_name(file: str, index: int) -> Iterator[Finding]:
    if index > 0:
        message = "the field 'name' is missing: each document but a file's first needs it"
        yield Finding(ErrorCode.SpecSchema, ("name",), message)
    elif reason := explain_id(stem_of(file)):
        message = f"the file's name is no name for a container: {reason}; rename it or give 'name'"
        yield Finding(ErrorCode.InvalidIdFormat, ("name",), message)
