"""YAML text to documents whose every node knows its line and column.

Called by `parse` alone. Built on the events of libyaml (yaml.CParser), not on PyYAML's
composer: it recurses in C, and it neither bounds nor checks what is wanted here. Size, depth,
number of nodes (those behind aliases counted each time) are bounded, duplicate keys and
unknown tags refused. May not know what a container is.

    bytes --decode_text--> text --libyaml--> events --_Builder--> Node tree, one a document
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from reconciler.errors.codes import ErrorCode
from reconciler.loader.scalars import resolve_scalar

MAX_DEPTH = 64
MAX_NODES = 100_000

_CORE = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({None, "!", _CORE + "str"})
_LIST_TAGS = frozenset({None, "!", _CORE + "seq"})
_MAPPING_TAGS = frozenset({None, "!", _CORE + "map"})
_NO_KEYS = frozenset({"", "<<"})
_NO_PLACES: dict[str, tuple[int, int]] = {}
# The characters that YAML 1.2 (section 5.1) forbids in a stream.
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
# Characters that JSON allows in a string and YAML does not, or takes for the end of a line.
_JSON_ALONE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_SURROGATES = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)
# What is probably wrong when libyaml says so.
_HINTS = {
    "did not find expected key": "; keys of one mapping begin in one column",
    "did not find expected '-'": "; the '-' of one list stand in one column",
    "mapping values are not allowed": "; put a text that contains ': ' in quotes, or indent less",
    "found unexpected end of stream": "; a quote is not closed",
    "did not find expected <document start>": "; the file goes on after its end",
}


class DocumentError(Exception):
    """The text cannot be taken; `line` and `column` are 1-based."""

    def __init__(self, code: ErrorCode, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.column = column


class Node:
    """A value with its place (1-based line and column).

    `data` is the plain value (dict, list or scalar), `text` a scalar as it was written, `file`
    where it stands. `children` are the nodes of a mapping's values or a list's items, `keys` the
    places of a mapping's keys: each in the file of its value.
    """

    __slots__ = ("children", "column", "data", "file", "keys", "line", "text")

    def __init__(
        self, data: Any, line: int, column: int, text: str | None = None, *, file: str = ""
    ) -> None:
        self.data = data
        self.line = line
        self.column = column
        self.text = text
        self.file = file
        self.children: Any = None
        self.keys = _NO_PLACES

    def find(self, path: tuple[str | int, ...]) -> Node:
        """Return the node at `path`, or the deepest one on the way that exists."""
        node = self
        for step in path:
            try:
                node = node.children[step]
            except (KeyError, IndexError, TypeError):
                break
        return node


class _Frame:
    """A collection that is being filled."""

    __slots__ = ("anchor", "height", "is_mapping", "key", "node", "start_count")

    def __init__(self, node: Node, anchor: str | None, start_count: int) -> None:
        self.node = node
        self.is_mapping = type(node.data) is dict
        self.anchor = anchor
        self.start_count = start_count
        self.height = 1
        self.key: str | None = None  # of the value that comes next


def decode_text(data: bytes, *, is_json: bool = False) -> str:
    """Return the text of a file: UTF-8 with or without a byte order mark.

    Raises: DocumentError when it is not UTF-8 or has control characters (NUL).
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise DocumentError(
            ErrorCode.SpecSyntax,
            f"not UTF-8 text: byte 0x{data[error.start]:02x} ({error.reason})",
            *_place(before, len(before)),
        ) from None
    text = text.removeprefix("\ufeff")
    if is_json:
        text = _JSON_ALONE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    if bad := _UNPRINTABLE.search(text):
        what = "a NUL byte" if bad[0] == "\0" else f"the control character {bad[0]!a}"
        place = _place(text, bad.start())
        raise DocumentError(ErrorCode.SpecSyntax, f"not a text file: contains {what}", *place)
    # JSON writes characters beyond U+FFFF as two escapes; YAML, otherwise JSON's superset, as one.
    return _SURROGATES.sub(_join_surrogates, text) if is_json else text


def _join_surrogates(match: re.Match[str]) -> str:
    high, low = int(match[2], 16) - 0xD800, int(match[3], 16) - 0xDC00
    return f"{match[1]}\\U{0x10000 + (high << 10) + low:08X}"


def _place(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def read_documents(text: str, file: str = "") -> Iterator[Node]:
    """Yield the root node of each document of `file`; an empty document is left out.

    Raises: DocumentError at the first place that is no YAML or goes beyond a bound; the
    documents before it have been yielded.
    """
    import yaml

    builder = _Builder(file)
    try:
        parser = yaml.CSafeLoader(text)
        try:
            while not isinstance(event := parser.get_event(), yaml.StreamEndEvent):
                if handler := builder.handlers.get(type(event)):
                    handler(event)
                elif isinstance(event, yaml.DocumentEndEvent):
                    if builder.root.text != "":
                        yield builder.root
                    builder.anchors.clear()
        finally:
            parser.dispose()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text) from None
    except (yaml.YAMLError, ValueError) as error:
        raise DocumentError(ErrorCode.SpecSyntax, f"not valid YAML: {error}", 1, 1) from None


class _Builder:
    """Makes nodes from events; `root` is the last document's. `handlers` are by event type."""

    def __init__(self, file: str) -> None:
        import yaml

        self.root = Node(None, 1, 1, "")
        self._file = file
        self.anchors: dict[str, tuple[Node, int, int]] = {}  # node, nodes in it, height
        self._count = 0
        self._stack: list[_Frame] = []
        self.handlers = {
            yaml.ScalarEvent: self._on_scalar,
            yaml.MappingStartEvent: self._on_start,
            yaml.SequenceStartEvent: self._on_start,
            yaml.MappingEndEvent: self._on_end,
            yaml.SequenceEndEvent: self._on_end,
            yaml.AliasEvent: self._on_alias,
        }
        self._mapping_start = yaml.MappingStartEvent

    def _on_scalar(self, event: Any) -> None:
        if self._stack:
            frame = self._stack[-1]
            if frame.is_mapping and frame.key is None:
                self._on_key(event, frame)
                return
        mark = event.start_mark
        text = event.value
        if event.tag is None and event.implicit[0]:
            value = resolve_scalar(text)
        else:
            _check_tag(event.tag, _TEXT_TAGS, mark)
            value, text = text, text or "''"
        node = Node(value, mark.line + 1, mark.column + 1, text, file=self._file)
        self._count_nodes(1, node.line, node.column)
        self._add(node, 0)
        if event.anchor:
            self.anchors[event.anchor] = (node, 1, 0)

    def _on_key(self, event: Any, frame: _Frame) -> None:
        mark, key = event.start_mark, event.value
        keys = frame.node.keys
        if key in keys:
            line = keys[key][0]
            raise _error(mark, f"the key {key!r:.80} is given twice (first on line {line})")
        if key in _NO_KEYS and event.implicit[0]:
            what = "an empty key" if key == "" else "'<<' (merge key) is not supported"
            raise _error(mark, what)
        frame.key = key
        keys[key] = place = (mark.line + 1, mark.column + 1)
        if event.anchor:
            self.anchors[event.anchor] = (Node(key, *place, key, file=self._file), 1, 0)

    def _on_start(self, event: Any) -> None:
        mark = event.start_mark
        if len(self._stack) >= MAX_DEPTH:
            raise _error(mark, f"nested deeper than {MAX_DEPTH} levels", ErrorCode.SpecTooLarge)
        if self._is_key_expected():
            raise _error(mark, "a list or a mapping cannot be a key")
        is_mapping = type(event) is self._mapping_start
        _check_tag(event.tag, _MAPPING_TAGS if is_mapping else _LIST_TAGS, mark)
        line, column = mark.line + 1, mark.column + 1
        node = Node({} if is_mapping else [], line, column, file=self._file)
        if is_mapping:
            node.children, node.keys = {}, {}
        else:
            node.children = []
        self._stack.append(_Frame(node, event.anchor, self._count))
        self._count_nodes(1, line, column)

    def _is_key_expected(self) -> bool:
        return bool(self._stack) and self._stack[-1].is_mapping and self._stack[-1].key is None

    def _on_end(self, event: Any) -> None:
        frame = self._stack.pop()
        self._add(frame.node, frame.height)
        if frame.anchor:
            weight = self._count - frame.start_count
            self.anchors[frame.anchor] = (frame.node, weight, frame.height)

    def _on_alias(self, event: Any) -> None:
        mark = event.start_mark
        if self._is_key_expected():
            raise _error(mark, "an alias cannot be a key")
        if event.anchor not in self.anchors:
            raise _error(mark, f"the alias *{event.anchor:.80} has no anchor before it")
        node, weight, height = self.anchors[event.anchor]
        if len(self._stack) + height > MAX_DEPTH:
            raise _error(mark, f"nested deeper than {MAX_DEPTH} levels", ErrorCode.SpecTooLarge)
        self._count_nodes(weight, mark.line + 1, mark.column + 1)
        self._add(node, height)

    def _add(self, node: Node, height: int) -> None:
        """Put a finished node where it belongs."""
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        if height >= frame.height:
            frame.height = height + 1
        if frame.key is None:
            frame.node.data.append(node.data)
            frame.node.children.append(node)
        else:
            frame.node.data[frame.key] = node.data
            frame.node.children[frame.key] = node
            frame.key = None

    def _count_nodes(self, weight: int, line: int, column: int) -> None:
        self._count += weight
        if self._count > MAX_NODES:
            message = f"more than {MAX_NODES} values, aliases included"
            raise DocumentError(ErrorCode.SpecTooLarge, message, line, column)


def _error(mark: Any, message: str, code: ErrorCode = ErrorCode.SpecSyntax) -> DocumentError:
    return DocumentError(code, message, mark.line + 1, mark.column + 1)


def _check_tag(tag: str | None, allowed: frozenset[str | None], mark: Any) -> None:
    if tag not in allowed:
        shown = str(tag).replace(_CORE, "!!")
        raise _error(mark, f"the tag {shown:.80} is not allowed here; remove it")


def _syntax_error(error: Any, text: str) -> DocumentError:
    """Return libyaml's complaint in words and with the place it is about."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.splitlines()
    rest = lines[line][column:] if line < len(lines) else ""
    message = error.problem or "unknown error"
    if "cannot start any token" in message and rest:
        reason = "a tab cannot indent; use spaces" if rest[0] == "\t" else "quote the text"
        message = f"{rest[0]!r} cannot begin a value here; {reason}"
    elif error.context and error.context_mark:
        message += f" ({error.context} that begins on line {error.context_mark.line + 1})"
    message += next((hint for about, hint in _HINTS.items() if about in message), "")
    return DocumentError(ErrorCode.SpecSyntax, f"not valid YAML: {message}", line + 1, column + 1)
