"""Every error code is one that some test expects: it is named outside of the tests of the codes."""

from __future__ import annotations

import re
from pathlib import Path

from reconciler.errors import ErrorCode

TESTS = Path(__file__).parents[2]


def test_every_code_is_expected_by_a_test() -> None:
    words = set[str]()
    for path in TESTS.rglob("*.py"):
        if path.parent != Path(__file__).parent and "suites" not in path.parts:
            words.update(re.findall(r"[A-Z]\w+", path.read_text()))
    assert [code.name for code in ErrorCode if code.name not in words] == []
