"""Documents made from the schema: of the right shape mostly, with values that are seldom meant."""

from __future__ import annotations

import random
from typing import Any

Schema = dict[str, Any]

TEXTS = [
    *("", "a", "/", "..", "-", "0", "null", "~", "é", "\U0001f600", "\ufeff", "\u2028", "\x85"),
    *("\0", "a\nb", "a\tb", "\x1b[31m", "%s", "{}", "'", '"', "#", "a: b", "\\", "/a/../b", "//"),
    *(
        "1e3",
        "0x10",
        "0o17",
        "1_000",
        "1:30",
        "2001-01-01",
        "yes",
        "=",
        "<<",
        "a" * 300,
        "../" * 30,
    ),
    *("-1", "256Mi", "1500m", "1m30s", "99999999999999999999Ei", "1h" * 40, "0-3,5", "3-1", "8:16"),
    *("KILL", "ALL", "SIGTERM", "65536", "1000:1000", "root", "4294967295", "4294967296", "\ud800"),
    "../" * 30,
]
NUMBERS = [
    *(0, 1, -1, 2, 100, 65535, 65536, 2**31, 2**32, 2**63, 2**64, -(2**63), 10**30, 10**400),
    *(0.5, -0.0, 1e308, 1e-320, 1.5, float("inf"), float("nan")),
]


class Generator:
    """Makes documents. `oddness` is the share of places with a value that does not fit there."""

    def __init__(self, rng: random.Random, root: Schema, oddness: float) -> None:
        self.rng = rng
        self.root = root
        self.oddness = oddness

    def document(self) -> Any:
        return self.value(self.root, 0)

    def value(self, schema: Schema, depth: int) -> Any:
        rng = self.rng
        if "$ref" in schema:
            schema = {**self.root["$defs"][schema["$ref"].rpartition("/")[2]], **schema}
        if rng.random() < self.oddness:
            return anything(rng)
        if schema.get("examples") and depth and rng.random() < 0.7:
            return rng.choice(schema["examples"])
        if "enum" in schema:
            return rng.choice(schema["enum"])
        kinds = schema.get("type", ["string", "integer", "object"])
        kind = kinds if isinstance(kinds, str) else rng.choice(kinds)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            items = schema.get("prefixItems", []) + [schema.get("items", {})] * rng.randint(0, 3)
            return [self.value(one, depth + 1) for one in items]
        return self._scalar(kind, schema)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        rng, properties = self.rng, schema.get("properties", {})
        few = min(len(properties), 6 if depth == 0 else 4)
        names = rng.sample(sorted(properties), rng.randint(0, few))
        names += [name for name in schema.get("required", []) if rng.random() >= self.oddness]
        found = {name: self.value(properties.get(name, {}), depth + 1) for name in names}
        further = schema.get("additionalProperties")
        if isinstance(further, dict):
            for _ in range(rng.randint(0, 2)):
                found[self._text(["db", "X"])] = self.value(further, depth + 1)
        return found

    def _scalar(self, kind: str, schema: Schema) -> Any:
        if kind == "boolean":
            return self.rng.random() < 0.5
        if kind in ("integer", "number"):
            low, high = schema.get("minimum", -5), schema.get("maximum", 2**40)
            odd = [low - 1, high + 1, *NUMBERS] if self.rng.random() < self.oddness else []
            return self.rng.choice([low, high, *odd])
        return self._text(["a", "/a", "1"])

    def _text(self, plain: list[str]) -> str:
        return self.rng.choice(TEXTS if self.rng.random() < 3 * self.oddness else plain)


def anything(rng: random.Random) -> Any:
    """Return any value of JSON."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(TEXTS)
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind == 2:
        return [anything(rng) for _ in range(rng.randint(0, 2))]
    if kind == 3:
        return {rng.choice(TEXTS): anything(rng) for _ in range(rng.randint(0, 2))}
    return rng.choice([None, True, False])
