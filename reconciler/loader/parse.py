"""One file's bytes to specs and problems.

Called by `look` and `explain` alone: everything slow (yaml, jsonschema) is behind here. It
raises nothing for bad input: what is wrong becomes a `Problem` with its place.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from reconciler.errors.codes import ErrorCode
from reconciler.linux.clock import wall_s
from reconciler.loader.build import build_spec
from reconciler.loader.document import DocumentError, Node, decode_text, read_documents
from reconciler.loader.env_file import EnvValue, read_env
from reconciler.loader.findings import Finding, Path, spell_path
from reconciler.loader.messages import explain_errors
from reconciler.loader.parsed import Parsed, make_problem
from reconciler.loader.patch import Patch, Patches, apply_patches
from reconciler.loader.reader import Reader
from reconciler.loader.references import EnvFile, find_env_files, find_references, make_references
from reconciler.loader.rules import check_rules
from reconciler.loader.schema import find_errors
from reconciler.loader.seccomp_file import FIELD as PROFILE
from reconciler.loader.seccomp_file import find_profile, read_profile
from reconciler.loader.sources import FileTrouble, stem_of
from reconciler.model.frozen import replace
from reconciler.model.names import explain_id, is_valid_id
from reconciler.model.spec import Origin, Reference, Spec
from reconciler.model.world import Problem

MAX_PROBLEMS = 100  # of one file; more would help nobody


def parse_file(
    file: str,
    data: bytes,
    patches: Patches = Patches(),  # noqa: B008  (frozen)
    reader: Reader | None = None,
) -> Parsed:
    """Return what the file (absolute path) with the content `data` asks for.

    `patches` are its drop-ins; `reader` reads what it refers to.
    """
    documents, failure = split_documents(file, data, patches, reader or Reader({}, wall_s))
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
        references=tuple(dict.fromkeys(path for one in documents for path in one.referred)),
        places={
            one.spec.name: one.find_dependencies()
            for one in documents
            if one.spec is not None and one.spec.depends_on
        },
    )


def split_documents(
    file: str, data: bytes, patches: Patches, reader: Reader
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
        documents.append(Document(file, index, node, chosen, reader))
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
    its file and line; `env_files` are these and the seccomp `profile`'s.
    """

    def __init__(
        self,
        file: str,
        index: int,
        node: Node,
        patches: Sequence[Patch],
        reader: Reader,
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
        self.profile: str | None = None
        self.referred: list[str] = []
        references: tuple[Reference, ...] = ()
        if isinstance(node.data, dict) and all(one.path[:1] != ("envFile",) for one in findings):
            env_files = list(find_env_files(node.data, self._base_of))
            self._read_env(env_files, reader)
            self._read_profile(reader)
            if not findings:
                references = self._find_references(env_files, reader)
        if not self.problems and self.name is not None:
            origin = Origin(file=file, line=node.line, column=node.column)
            data = self._data_with_env()
            bases = self._base_of
            self.spec = build_spec(data, self.name, origin, bases, references, self.profile)

    def _data_with_env(self) -> dict[str, Any]:
        data: dict[str, Any] = self.node.data
        if not self.env:
            return data
        env = {name: value.text for name, value in self.env.items()}
        return data | {"env": env | data.get("env", {})}

    def _base_of(self, path: Path) -> str:
        """Return the directory that a relative path at `path` is relative to."""
        return os.path.dirname(self.node.find(path).file)

    def _read_profile(self, reader: Reader) -> None:
        """Read the seccomp profile, if there is one; what is wrong is a problem of its file."""
        file = find_profile(self.node.data, self._base_of)
        if file is None:
            return
        self.env_files.append(file)
        try:
            self.profile = read_profile(file, reader.take)
        except FileTrouble as trouble:
            self._tell(PROFILE, trouble)
        except DocumentError as error:
            self._tell_inside(file, error)

    def _tell_inside(self, file: str, error: DocumentError) -> None:
        """Note what is wrong inside of a file that the document names."""
        problem = make_problem(error.code, error.message, file, error.line, error.column)
        self.problems.append(replace(problem, spec_name=self.name))

    def _read_env(self, files: Sequence[EnvFile], reader: Reader) -> None:
        """Read all env files; what is wrong with one is a problem of the field."""
        for one in files:
            self.env_files.append(one.file)
            try:
                self.env |= read_env(one.file, reader.take, is_optional=one.is_optional)
            except FileTrouble as trouble:
                self._tell(one.path, trouble)
            except DocumentError as error:
                self._tell_inside(one.file, error)

    def _find_references(
        self, env_files: Sequence[EnvFile], reader: Reader
    ) -> tuple[Reference, ...]:
        """Return the references with their digests; trouble with one is a problem of its field."""
        own = self.node.data.get("env", {})
        env = {name: value.file for name, value in self.env.items() if name not in own}
        digests: dict[str, str | None] = {}
        found = list(find_references(self.node.data, env_files, self._base_of))
        for one in found:
            self.referred.append(one.file)
            try:
                digests[one.file] = reader.tree_digest(one.file)
            except FileTrouble as trouble:
                self._tell(one.path, trouble)
        return make_references(found, digests, env)

    def _tell(self, path: Path, trouble: FileTrouble) -> None:
        finding = Finding(ErrorCode.SpecValue, path, trouble.message)
        self.problems.append(self._place(finding, self.node))

    def find_dependencies(self) -> dict[str, Origin]:
        """Return the place of each entry of `dependsOn`, by its name."""
        given = self.node.find(("dependsOn",))
        return {
            name: Origin(file=child.file, line=given.keys[name][0], column=given.keys[name][1])
            for name, child in given.children.items()
        }

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
