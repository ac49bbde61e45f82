"""A hostile file costs seconds at most, whatever it is made of."""

from __future__ import annotations

import time

import pytest

from tests.unit.loader.samples import parse_text

SIZE = 2**20 - 200
COUNT = 90_000
LIMIT_S = 20  # of processor time; a quadratic rule or pattern takes minutes

HOSTILE = {
    "labels": "command: [a]\nlabels: {" + "".join(f"k{n}: v," for n in range(COUNT // 2)) + "}",
    "wrong labels": "command: [a]\nlabels: {" + "".join(f"k{n}: 1," for n in range(40_000)) + "}",
    "unknown fields": "".join(f"k{n}: 1\n" for n in range(40_000)),
    "arguments": "command: [" + "a," * COUNT + "]",
    "wrong arguments": "command: [" + "1," * COUNT + "]",
    "options of mixed types": "command: [a]\nmounts: [{type: tmpfs, target: /a, options: ["
    + "".join(f"{n},a{n}," for n in range(40_000))
    + "]}]",
    "one capability": "command: [a]\nsecurity: {capabilities: [" + "KILL," * COUNT + "]}",
    "documents": "--- {}\n" * 40_000,
    "a long key": f"command: [a]\n? {'k' * SIZE}\n: 1",
    "laughs": "a: &a [x, x]\n" + "".join(f"{n}: &b{n} [*a, *a]\n" for n in range(20_000)),
    "a long host name": f"command: [a]\nhostname: {'a' * SIZE}!",
    "a host name of dashes": f"command: [a]\nhostname: a{'-' * SIZE}!",
    "a host name of parts": f"command: [a]\nhostname: {'a.' * (SIZE // 2)}!",
    "a long user": f"command: [a]\nuser: {'a' * SIZE}!",
    "a long duration": f"command: [a]\nstop: {{grace: {'1s' * (SIZE // 2)}x}}",
    "a long number": f"command: [a]\nresources: {{memory: {{max: {'9' * SIZE}}}}}",
    "a long list of CPUs": "command: [a]\nresources: {cpu: {cpus: '" + "1," * (SIZE // 2) + "'}}",
    "a long command line": f"command: {'a ' * (SIZE // 2)}",
    "a long name": f"command: [a]\nname: {'a' * SIZE}",
    "a long path": f"command: [a]\nworkdir: {'a/' * (SIZE // 2)}",
    "spaces": "command:" + " " * SIZE,
    "question marks": "? " * (SIZE // 2),
    "quotes": "command: ['" + "''" * (SIZE // 2),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_of_a_mebibyte_is_judged_in_seconds(text: str) -> None:
    begin = time.process_time()
    parsed = parse_text(text)
    assert time.process_time() - begin < LIMIT_S
    assert parsed.specs or parsed.problems
    assert len(parsed.problems) <= 101
    assert all(len(problem.describe()) < 1000 for problem in parsed.problems)
