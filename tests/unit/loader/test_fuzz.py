"""Whatever is in a file: specs, or problems that have a place; never an exception."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.loader.samples import FULL, parse_text

SNIPPETS = [
    *("{", "}", "[", "]", ":", "- ", "\n", "  ", "\t", "'", '"', "|", ">", "&a ", "*a", "!!str "),
    *("!x ", "? ", "---\n", "...\n", "#", "%YAML 1.1\n", "null", "true", "-1", "1.5", "1e400"),
    *("0o9", "9" * 60, "\0", "\ufeff", "\u2028", "\x85", "é", "\U0001f600", "\\", "<<: "),
    *("name: ", "\r", "@", "`", ".."),
]


def check(content: bytes) -> None:
    parsed = parse_text(content)
    assert parsed.specs or parsed.problems
    for problem in parsed.problems:
        assert problem.line is not None
        assert problem.column is not None
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.describe().isprintable()
        assert len(problem.describe()) < 1000


@given(st.binary(max_size=200))
@example(b"*A")
@example(b"\xff\xfe\x00")
@example(b"\xed\xa0\x80")
@example(b"%YAML 2.0\n---\na: 1")
@example(b'"\\ud800"')
@example(b"a: !<tag:yaml.org,2002:int> x")
def test_any_bytes_give_specs_or_problems_with_a_place(content: bytes) -> None:
    check(content)


@given(st.text(max_size=100))
def test_any_text_gives_specs_or_problems_with_a_place(text: str) -> None:
    check(text.encode(errors="replace"))


@given(st.data())
def test_a_spec_with_some_damage_gives_specs_or_problems_with_a_place(data: st.DataObject) -> None:
    text = FULL
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.sampled_from(SNIPPETS)) + text[end:]
    check(text.encode())


@given(st.integers(0, len(FULL)))
def test_a_half_written_spec_gives_specs_or_problems_with_a_place(length: int) -> None:
    check(FULL[:length].encode())


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["1Mi", "10s", "always", "/a", "bind", "tmpfs", "ro", "unlimited"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["max", "type", "target", "soft", "hard", "x"]), inner)
    ),
    max_leaves=8,
)
FIELDS = [line.split(":")[0] for line in FULL.splitlines() if line[0] not in " #"]


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6))
def test_fields_of_any_type_give_specs_or_problems_with_a_place(document: dict[str, Any]) -> None:
    import json

    check(json.dumps(document, ensure_ascii=False).encode(errors="replace"))
