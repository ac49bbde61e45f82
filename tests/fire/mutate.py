"""Damage to documents: to their structure, their words and their bytes; and hostile ones."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from typing import Any

import yaml

from tests.fire.generate import TEXTS, anything

_WORD = re.compile(r"\w+|\s+|[^\w\s]")
SNIPPETS = [
    *("{", "}", "[", "]", ":", "- ", "\n", "  ", "\t", "'", '"', "|", ">", "|2-\n", ">+\n", ","),
    *("&a ", "*a", "*b", "!!str ", "!!binary ", "!x ", "!<tag:x> ", "? ", "---\n", "...\n", "#"),
    *("%YAML 1.1\n", "%TAG ! x\n", "null", "true", "-1", "1.5", "1e400", "0o9", "9" * 60, ".inf"),
    *("<<: ", "<<: *a", "<<: [*a, *a]", "name: ", "\r", "\r\n", "@", "`", "..", "\0", "\ufeff"),
    *("\u2028", "\x85", "é", "\U0001f600", "\\", '"\\ud800"', '"\\x00"', "1:2:3", "0b1", "\x7f"),
]


def damage_tree(rng: random.Random, document: Any) -> Any:
    """Return the document with some values replaced, moved, wrapped, renamed or gone."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        place = _pick(rng, document)
        if place is None:
            return anything(rng)
        holder, key = place
        change = rng.randrange(6)
        if change == 0:
            del holder[key]
        elif change == 1:
            holder[key] = anything(rng)
        elif change == 2:
            holder[key] = [holder[key]]
        elif change == 3:
            holder[key] = {rng.choice(TEXTS): holder[key]}
        elif change == 4 and isinstance(holder, dict):
            holder[_typo(rng, str(key))] = holder.pop(key)
        else:
            other = _pick(rng, document)
            holder[key] = copy.deepcopy(other[0][other[1]]) if other else None
    return document


def _pick(rng: random.Random, document: Any) -> tuple[Any, Any] | None:
    """Return a container in the document and one of its keys."""
    at, found = document, None
    while isinstance(at, dict | list) and at:
        key = rng.choice(list(at)) if isinstance(at, dict) else rng.randrange(len(at))
        found = at, key
        if rng.random() < 0.4:
            break
        at = at[key]
    return found


def _typo(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(["", "x", text[at : at + 1] * 2, " "]) + text[at + 1 :]


def spell(rng: random.Random, document: Any) -> str:
    """Return the document as JSON or as YAML of some style."""
    style = rng.randrange(4)
    if style == 0:
        return json.dumps(document, ensure_ascii=rng.random() < 0.5)
    if style == 1:
        return json.dumps(document, indent=rng.randint(1, 4))
    try:
        return yaml.dump(document, default_flow_style=style == 2, allow_unicode=True)
    except yaml.YAMLError:
        return json.dumps(document)


def damage_words(rng: random.Random, text: str) -> str:
    """Return the text with words deleted, doubled, exchanged, replaced, or others put between."""
    words = _WORD.findall(text)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(words) + 1)
        change = rng.randrange(5)
        if change == 0:
            del words[at : at + rng.randint(1, 4)]
        elif change == 1:
            words[at:at] = words[at : at + rng.randint(1, 30)]
        elif change == 2 and len(words) > 1:
            one, other = rng.randrange(len(words)), rng.randrange(len(words))
            words[one], words[other] = words[other], words[one]
        elif change == 3:
            words[at : at + 1] = [rng.choice(TEXTS)]
        else:
            words.insert(at, rng.choice(SNIPPETS))
    return "".join(words)


def damage_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return the data cut, with bits turned, bytes put in, other line ends or another encoding."""
    change = rng.randrange(9)
    at = rng.randrange(len(data) + 1)
    if change == 0:
        return data[:at]
    if change == 1:
        return data[:at] + rng.randbytes(rng.randint(1, 6)) + data[at:]
    if change == 2:
        return data[:at] + rng.choice([b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80"]) + data[at:]
    if change == 3:
        return data.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\t", b"\n\n", b"\xe2\x80\xa8"]))
    if change == 4:
        return rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\n\n", b"\t"]) + data
    if change == 5:
        text = data.decode(errors="replace")
        return text.encode(rng.choice(["utf-16", "utf-16-le", "utf-32", "latin-1"]), "replace")
    if change == 6:
        return data.replace(b"  ", b"\t") if rng.random() < 0.5 else data[at:] + data[:at]
    turned = bytearray(data)
    for _ in range(rng.randint(1, 4) if turned else 0):
        turned[rng.randrange(len(turned))] ^= 1 << rng.randrange(8)
    return bytes(turned)


def _laughs(size: int) -> str:
    lines = [f"k{n}: &k{n} [*k{n - 1}, *k{n - 1}, *k{n - 1}]" for n in range(1, size)]
    return "\n".join(["k0: &k0 [x, x]", *lines])


def _merges(size: int) -> str:
    lines = [f"k{n}: &k{n} {{<<: [*k{n - 1}, *k{n - 1}], a{n}: 1}}" for n in range(1, size)]
    return "\n".join(["k0: &k0 {a: 1}", *lines, f"<<: *k{size - 1}"])


HOSTILE: list[Callable[[int], str]] = [
    _laughs,
    _merges,
    lambda size: "a: &a [*a]\ncommand: *a",
    lambda size: "[" * size,
    lambda size: "[" * size + "]" * size,
    lambda size: "{a: " * size + "1" + "}" * size,
    lambda size: '{"a":' * size + "1" + "}" * size,
    lambda size: "- " * size + "a",
    lambda size: "? " * size,
    lambda size: "".join(f"{' ' * n}a:\n" for n in range(min(size, 900))),
    lambda size: "command: [a]\n" * size,
    lambda size: "command: [a]\nenv: {" + "A: '1', " * size + "}",
    lambda size: "command: [a]\nresources: {pids: {max: " + "9" * size + "}}",
    lambda size: "command: [a]\nresources: {memory: {max: 0x" + "f" * size + "}}",
    lambda size: "command: [a]\nrestart: {backoff: {factor: 1" + "0" * size + ".5}}",
    lambda size: "command: [a]\nlabels: {? {a: b} : c}",
    lambda size: "command: [a]\n? [a, b]\n: c",
    lambda size: "&a " * size + "command: [a]",
    lambda size: "--- {command: [a]}\n" * size,
    lambda size: "command: ['" + "''" * size,
    lambda size: 'command: ["' + "\\u0041" * size + '"]',
    lambda size: "command: [a]\nsuspend: {until: " + "2" * size + "-01-01T00:00:00Z}",
    lambda size: (
        "command: [a]\ndependsOn: {" + ", ".join(f"n{n}: ready" for n in range(size)) + "}"
    ),
]
