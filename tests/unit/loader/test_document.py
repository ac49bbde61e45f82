"""YAML: places, bounds, and what is refused before the schema sees it."""

from __future__ import annotations

import json

import pytest

from reconciler.loader.document import MAX_NODES, Node, decode_text, read_documents
from reconciler.loader.scalars import resolve_scalar
from tests.unit.loader.samples import parse_text, told


def read_one(text: str) -> Node:
    [node] = read_documents(text)
    return node


def test_each_value_and_each_key_has_its_line_and_column() -> None:
    root = read_one("a: 1\nb:\n  - x\n  - {c: y}\n")
    assert root.data == {"a": 1, "b": ["x", {"c": "y"}]}
    found = root.find(("b", 1, "c"))
    assert (found.data, found.line, found.column) == ("y", 4, 9)
    assert root.find(("b", 1)).keys == {"c": (4, 6)}


def test_an_alias_stands_for_its_anchor_and_its_place() -> None:
    root = read_one("a: &x [1]\nb: *x\n")
    assert root.data["b"] == [1]
    assert root.find(("b", 0)).line == 1


def test_documents_are_separate_and_empty_ones_are_left_out() -> None:
    nodes = list(read_documents("# nothing\n---\na: 1\n---\n---\nb: 2\n...\n"))
    assert [(node.data, node.line) for node in nodes] == [({"a": 1}, 3), ({"b": 2}, 6)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("NO", "NO"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("0755", 755),
        ("0o755", 0o755),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("8:0", "8:0"),
        ("2024-01-01", "2024-01-01"),
        ("-5", -5),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000),
        ("1.0", 1),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("9" * 50, "9" * 50),
        ("-", "-"),
        (".", "."),
        ("=", "="),
    ],
)
def test_plain_scalars_are_resolved_by_the_core_schema_of_yaml_1_2(
    text: str, value: object
) -> None:
    resolved = resolve_scalar(text)
    assert (resolved, type(resolved)) == (value, type(value))


def test_quoted_and_tagged_scalars_are_texts() -> None:
    root = read_one("- '1'\n- \"true\"\n- !!str 2\n- ! 3\n- |\n  4\n")
    assert root.data == ["1", "true", "2", "3", "4\n"]


BROKEN = {
    "an unclosed list": (
        "command: [a\nfoo: b",
        (
            "2:4: not valid YAML: did not find expected ',' or ']' (while parsing a flow sequence"
            " that begins on line 1) [SpecSyntax]"
        ),
    ),
    "a text cut in the middle": (
        'command: [a]\nuser: "ro',
        (
            "2:10: not valid YAML: found unexpected end of stream (while scanning a quoted"
            " scalar that"
            " begins on line 2); a quote is not closed [SpecSyntax]"
        ),
    ),
    "a tab": (
        "command: [a]\nenv:\n\tA: b",
        (
            "3:1: not valid YAML: '\\t' cannot begin a value here; a tab cannot indent; use spaces"
            " [SpecSyntax]"
        ),
    ),
    "an unquoted percent sign": (
        "command: [date, %s]",
        "1:17: not valid YAML: '%' cannot begin a value here; quote the text [SpecSyntax]",
    ),
    "a key twice": (
        "command: [a]\nuser: x\ncommand: [b]",
        "3:1: the key 'command' is given twice (first on line 1) [SpecSyntax]",
    ),
    "a merge key": (
        "a: &x {}\nb:\n  <<: *x",
        "3:3: '<<' (merge key) is not supported [SpecSyntax]",
    ),
    "an empty key": ("? \n: a", "1:2: an empty key [SpecSyntax]"),
    "a list as a key": ("? [a]\n: b", "1:3: a list or a mapping cannot be a key [SpecSyntax]"),
    "an alias to nothing": (
        "command: *x",
        "1:10: the alias *x has no anchor before it [SpecSyntax]",
    ),
    "an alias to what it is in": (
        "command: &x [*x]",
        "1:14: the alias *x has no anchor before it [SpecSyntax]",
    ),
    "a tag of Python": (
        "command: !!python/object:os.system x",
        "1:10: the tag !!python/object:os.system is not allowed here; remove it [SpecSyntax]",
    ),
    "a NUL byte": (
        "command: [a\0]",
        "1:12: not a text file: contains a NUL byte [SpecSyntax]",
    ),
    "a control character": (
        "a: b\nc: \x1b[0m",
        "2:4: not a text file: contains the control character '\\x1b' [SpecSyntax]",
    ),
    "nothing": ("", "1:1: the file is empty [SpecSyntax]"),
    "comments alone": ("# later\n---\n", "1:1: the file is empty [SpecSyntax]"),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_yaml_is_told_with_its_place(text: str, expected: str) -> None:
    parsed = parse_text(text)
    assert told(parsed) == [expected]
    assert parsed.specs == ()
    assert parsed.has_unnamed


def test_bytes_that_are_no_utf_8_are_told_with_their_place() -> None:
    assert told(parse_text("command: [a]\nuser: Jos\u00e9".encode("latin-1"))) == [
        "2:10: not UTF-8 text: byte 0xe9 (unexpected end of data) [SpecSyntax]"
    ]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert parse_text(b"\xef\xbb\xbfcommand: [a]").problems == ()


def test_a_good_document_before_a_syntax_error_is_not_taken() -> None:
    parsed = parse_text("command: [a]\n---\nname: b\ncommand: [")
    assert parsed.specs == ()
    assert parsed.troubled == ("web",)
    assert parsed.has_unnamed


def test_billions_of_laughs_are_counted_not_laughed() -> None:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert told(parse_text("\n".join(lines))) == [
        f"5:45: more than {MAX_NODES} values, aliases included [SpecTooLarge]"
    ]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused(opening: str) -> None:
    [problem] = parse_text(opening * 100_000).problems
    assert (problem.name, problem.line) in {("SpecTooLarge", 1), ("SpecSyntax", 1)}


def test_nesting_through_aliases_counts_too() -> None:
    text = "a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*a" + "]" * 40
    [problem] = parse_text(text).problems
    assert (problem.name, problem.line) == ("SpecTooLarge", 2)


def test_json_is_read_too_with_escapes_beyond_the_basic_plane() -> None:
    data = {"command": ["echo", "😀 \\ud83d é \x7f\x85\u2028"], "labels": {"a": "b"}}
    for is_ascii in (True, False):
        content = json.dumps(data, indent="\t", ensure_ascii=is_ascii).encode()
        assert read_one(decode_text(content, is_json=True)).data == data


def test_a_mistake_in_json_has_its_place() -> None:
    parsed = parse_text('{\n  "command": ["a"],\n  "usr": "x"\n}', "/etc/specs/web.json")
    assert told(parsed) == ["3:3: usr: unknown field 'usr'; did you mean 'user'? [SpecSchema]"]
