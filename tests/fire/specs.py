"""Specs of the state machine: of each class of change one field, in any combination.

A file depends on names before its own in NAMES alone, as cycles are refused.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

# Neither the order of starts nor that of stops is the one of the alphabet.
NAMES = ["b", "a", "c"]

# Texts of which none is a spec; an empty file is none of them, as it masks.
BROKEN = ["command: [", "command: 5", "{", "\0", "comand: [/bin/a]", "command: [/bin/a]\nname: B!"]

# Of these fields one is drawn at a time for an edit.
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "resources": st.fixed_dictionaries(  # live
        {},
        optional={
            "pids": st.sampled_from([{"max": 5}, {"max": 9}]),
            "memory": st.sampled_from([{"max": "1Mi"}, {"max": 5000}]),
        },
    ),
    "command": st.sampled_from([["/bin/a"], ["/bin/b"]]),  # restart
    "env": st.sampled_from([{}, {"X": "1"}]),  # restart
    "rootfs": st.sampled_from([{"readonly": True}, {"readonly": False}]),  # recreate
    "kind": st.sampled_from(["Container", "Job"]),  # recreate
    "labels": st.sampled_from([{}, {"l": "1"}]),  # the record alone
    "state": st.sampled_from(["running", "running", "paused", "stopped"]),
    "restart": st.fixed_dictionaries(
        {"policy": st.sampled_from(["always", "on-failure", "never"])},
        optional={
            "backoff": st.fixed_dictionaries(
                {"initial": st.sampled_from(["100ms", "1s", "9s"])},
                optional={"jitter": st.sampled_from([0, 0.5])},
            ),
            "maxAttempts": st.integers(1, 3),
            "permanentExitCodes": st.just([78]),
            "resetAfter": st.sampled_from(["0s", "5s"]),
        },
    ),
    "deadline": st.just("30s"),
    "suspend": st.sampled_from([True, {"reason": "r"}, {"until": "2001-09-09T01:46:40Z"}]),
    "prune": st.sampled_from(
        [{"mode": "destroy"}, {"mode": "freeze", "ttl": "60s"}, {"mode": "orphan"}]
    ),
    "drift": st.sampled_from([{"policy": "report"}, {"fields": {"resources": "ignore"}}]),
}


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, Any]:
    """Return a field and its new value; None: the field is taken away."""
    field = draw(st.sampled_from([*FIELDS, "state", *["dependsOn"] * 4]))
    if field == "command":
        return field, draw(FIELDS[field])
    return field, None if draw(st.integers(0, 2)) == 0 else draw(_value_of(field))


def _value_of(field: str) -> st.SearchStrategy[Any]:
    if field in FIELDS:
        return FIELDS[field]
    one = st.fixed_dictionaries(
        {"condition": st.sampled_from(["started", "ready", "completed"])},
        optional={"restart": st.booleans()},
    )
    return st.dictionaries(st.sampled_from([*NAMES, "ghost"]), one, min_size=1, max_size=2)


def _before(name: str) -> list[str]:
    return [*NAMES[: NAMES.index(name)], *(["ghost"] if name == NAMES[-1] else [])]


def for_name(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document as it may be in the file of that name."""
    links = {to: how for to, how in document.get("dependsOn", {}).items() if to in _before(name)}
    document = {key: value for key, value in document.items() if key != "dependsOn"}
    if document.get("kind") == "Job" and document.get("restart", {}).get("policy") == "always":
        document["restart"] = {**document["restart"], "policy": "on-failure"}
    if document.get("kind") != "Job":
        document.pop("deadline", None)
    return document | ({"dependsOn": links} if links else {})
