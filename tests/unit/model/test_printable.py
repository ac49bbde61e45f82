"""What of a text a terminal gets."""

from __future__ import annotations

import pytest

from reconciler.model.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ä, 漢 and\ttab\n", "plain, ä, 漢 and\ttab\n"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("over\rwritten\x08", "over\\x0dwritten\\x08"),
        ("\x9b2J", "\\x9b2J"),
        ("a\u202eb\u2066", "a\\u202eb\\u2066"),
        ("\x1b[31mred", "\\x1b[31mred"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_colours_alone_may_stay() -> None:
    text = "\x1b[1;31mred\x1b[0m \x1b[2J\x1b[31\x1b]0;x\x07"
    assert (
        printable(text, has_colours=True) == "\x1b[1;31mred\x1b[0m \\x1b[2J\\x1b[31\\x1b]0;x\\x07"
    )
    assert printable("\x1b]0;x", has_colours=True) == "\\x1b]0;x"
