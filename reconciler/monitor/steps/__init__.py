"""The set-up of a container as a list of steps: computed by the engine, executed in the child.

A step is a NamedTuple of JSON values with `describe()` (what logs and errors show) and either
`prepare(context)`, which makes its system calls ready before the clone (see `prepared`), or
`execute(context)`, which runs in the child and raises `OSError` and nothing else. Steps run in
order in the new namespaces; the last one never returns.
"""

from __future__ import annotations

import sys

from reconciler.lean import Any, Protocol

# What most containers need first: the others are loaded for those that have such steps.
_MODULES = ("process", "root", "listed", "mounts", "attributes", "join", "hooks", "mapped_overlay")
_known: dict[str, type[Any]] = {}


class Step(Protocol):
    """One set-up step; beside this it has `prepare(context)` or `execute(context)`."""

    def describe(self) -> str:
        """Return what it does in a few words: `mount tmpfs on /dev`."""
        ...


def load_steps(wanted: str | None = None) -> dict[str, type[Any]]:
    """Load the modules of all steps, or until there is the step `wanted`; return what is there."""
    for module in _MODULES:
        if wanted in _known:
            break
        name = f"{__name__}.{module}"
        __import__(name)
        _known.update({step.__name__: step for step in sys.modules[name].STEPS})
    return _known


def encode_steps(steps: list[Any]) -> list[list[Any]]:
    """Return the steps as JSON lists `[name, field, ...]`."""
    return [[type(step).__name__, *step] for step in steps]


def decode_steps(encoded: list[list[Any]]) -> list[Step]:
    """Return the steps that `encode_steps` encoded. Raises: KeyError, TypeError."""
    return [load_steps(name)[name](*fields) for name, *fields in encoded]
