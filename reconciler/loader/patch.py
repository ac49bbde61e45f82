"""Drop-ins: a document that is merged over a spec's, as RFC 7396 (JSON Merge Patch) says.

Called by `look`, which makes the patches, and by `parse`, which applies them. Every value of
the merged document still knows the file, line and column that it comes from. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors.codes import ErrorCode
from reconciler.loader.document import DocumentError, Node, decode_text, read_documents
from reconciler.loader.parsed import make_problem
from reconciler.model.frozen import frozen
from reconciler.model.world import Problem


@frozen
class Patch:
    """One drop-in file: its document, or why there is none."""

    file: str
    node: Node | None = None
    problem: Problem | None = None


@frozen
class Patches:
    """What is merged over a file: `common` over each document, then `own` over the file's own."""

    common: Sequence[Patch] = ()
    own: Sequence[Patch] = ()


def read_patch(file: str, data: bytes) -> Patch:
    """Return the drop-in `file` with the content `data`."""
    try:
        nodes = list(read_documents(decode_text(data, is_json=file.endswith(".json")), file))
        _check(nodes)
    except DocumentError as error:
        problem = make_problem(error.code, error.message, file, error.line, error.column)
        return Patch(file=file, problem=problem)
    return Patch(file=file, node=nodes[0])


def _check(nodes: list[Node]) -> None:
    if not nodes:
        raise DocumentError(ErrorCode.SpecSyntax, "the file is empty", 1, 1)
    if len(nodes) > 1:
        place = (nodes[1].line, nodes[1].column)
        message = "a drop-in has one document; put the second into a file of its own"
        raise DocumentError(ErrorCode.SpecSchema, message, *place)
    [node] = nodes
    if not isinstance(node.data, dict):
        message = "a drop-in is a mapping of fields, as a spec is"
        raise DocumentError(ErrorCode.SpecSchema, message, node.line, node.column)
    if "name" in node.keys:
        message = "a drop-in cannot change the name"
        raise DocumentError(ErrorCode.SpecSchema, message, *node.keys["name"])


def apply_patches(node: Node, patches: Sequence[Patch]) -> Node:
    """Return the document with the patches merged over it, one after the other."""
    for patch in patches:
        if patch.node is not None and isinstance(node.data, dict):
            node = merge_node(node, patch.node)
    return node


def merge_node(target: Node | None, patch: Node) -> Node:
    """Return `patch` merged over `target` (RFC 7396, section 2): null removes, lists replace."""
    if not isinstance(patch.data, dict):
        return patch
    if target is None or not isinstance(target.data, dict):
        target = Node({}, patch.line, patch.column, file=patch.file)
        target.children = {}
    merged = Node({}, target.line, target.column, file=target.file)
    merged.children, merged.keys = dict(target.children), dict(target.keys)
    for name, child in patch.children.items():
        before = target.children.get(name)
        if child.data is None:
            merged.children.pop(name, None)
            merged.keys.pop(name, None)
            continue
        merged.children[name] = merge_node(before, child)
        if before is None or not (isinstance(before.data, dict) and isinstance(child.data, dict)):
            merged.keys[name] = patch.keys[name]
    merged.data = {name: child.data for name, child in merged.children.items()}
    return merged
