"""The set-up of a container as a list of steps: computed by the engine, executed in the child.

A step is a NamedTuple of JSON values with `describe()` (what logs and errors show) and
`execute(context)`, which raises `OSError` and nothing else. Steps run in order in the new
namespaces; the last one never returns.
"""

from __future__ import annotations

from reconciler.lean import Any, Protocol
from reconciler.monitor.steps import attributes, join, listed, mounts, process, root
from reconciler.monitor.steps.context import Context


class Step(Protocol):
    """One set-up step."""

    def describe(self) -> str:
        """Return what it does in a few words: `mount tmpfs on /dev`."""
        ...

    def execute(self, context: Context) -> None:
        """Do it. Raises: OSError."""
        ...


STEPS: dict[str, type[Any]] = {
    step.__name__: step
    for module in (root, mounts, listed, attributes, process, join)
    for step in module.STEPS
}


def encode_steps(steps: list[Any]) -> list[list[Any]]:
    """Return the steps as JSON lists `[name, field, ...]`."""
    return [[type(step).__name__, *step] for step in steps]


def decode_steps(encoded: list[list[Any]]) -> list[Step]:
    """Return the steps that `encode_steps` encoded. Raises: KeyError, TypeError."""
    return [STEPS[name](*fields) for name, *fields in encoded]
