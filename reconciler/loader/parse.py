"""One file's bytes to specs and problems.

Called by `load`, and by nothing else: everything slow (yaml, jsonschema) is behind here. It
raises nothing for bad input: what is wrong becomes a `Problem` with its place.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from itertools import islice
from typing import Any

from reconciler.errors.codes import ErrorCode
from reconciler.loader.build import build_spec
from reconciler.loader.document import DocumentError, Node, decode_text, read_documents
from reconciler.loader.findings import Finding, Path, spell_path
from reconciler.loader.messages import explain_errors
from reconciler.loader.parsed import Parsed, make_problem
from reconciler.loader.rules import check_rules
from reconciler.loader.schema import find_errors
from reconciler.model.names import explain_id, is_valid_id
from reconciler.model.spec import Origin, Spec
from reconciler.model.world import Problem

MAX_PROBLEMS = 100  # of one file; more would help nobody


def parse_file(file: str, data: bytes) -> Parsed:
    """Return what the file (absolute path) with the content `data` asks for."""
    documents: list[Node] = []
    failure: DocumentError | None = None
    try:
        for node in read_documents(decode_text(data, is_json=file.endswith(".json"))):
            documents.append(node)
    except DocumentError as error:
        failure = error
    if not documents and failure is None:
        failure = DocumentError(ErrorCode.SpecSyntax, "the file is empty", 1, 1)
    results = [_Document(file, index, node) for index, node in enumerate(documents)]
    problems = [problem for result in results for problem in result.problems][:MAX_PROBLEMS]
    if failure is None:
        bad = [result for result in results if result.spec is None]
        specs = tuple(result.spec for result in results if result.spec is not None)
    else:  # nobody knows what a document before the failure was to become
        problems.append(
            make_problem(failure.code, failure.message, file, failure.line, failure.column)
        )
        bad, specs = results, ()
    return Parsed(
        specs=specs,
        problems=tuple(problems),
        troubled=tuple(result.name for result in bad if result.name is not None),
        has_unnamed=failure is not None or any(result.name is None for result in bad),
    )


class _Document:
    """One document's outcome: a spec or problems; `name` where it is known."""

    def __init__(self, file: str, index: int, node: Node) -> None:
        self.spec: Spec | None = None
        self.name = _find_name(file, index, node)
        findings = list(islice(_find_problems(file, index, node), MAX_PROBLEMS))
        self.problems = [self._place(finding, file, node) for finding in findings]
        if not findings and self.name is not None:
            origin = Origin(file=file, line=node.line, column=node.column)
            self.spec = build_spec(node.data, self.name, origin)

    def _place(self, finding: Finding, file: str, root: Node) -> Problem:
        """Return the problem with the place of the finding's field."""
        *parents, last = finding.path or ("",)
        parent = root.find(tuple(parents))
        if finding.is_key and last in parent.keys:
            line, column = parent.keys[str(last)]
        else:
            node = root.find(finding.path)
            line, column = node.line, node.column
        return Problem(
            code=int(finding.code),
            name=finding.code.name,
            message=finding.message,
            file=file,
            line=line,
            column=column,
            field=spell_path(finding.path),
            spec_name=self.name,
        )


def _stem(file: str) -> str:
    return os.path.splitext(os.path.basename(file))[0]


def _find_name(file: str, index: int, node: Node) -> str | None:
    """Return the valid name of a document, given or by default, or None."""
    data = node.data
    if not isinstance(data, dict):
        return None
    name = data.get("name", _stem(file) if index == 0 else None)
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
    elif reason := explain_id(_stem(file)):
        message = f"the file's name is no name for a container: {reason}; rename it or give 'name'"
        yield Finding(ErrorCode.InvalidIdFormat, ("name",), message)
