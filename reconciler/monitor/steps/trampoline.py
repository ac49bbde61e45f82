"""The step for those who start a command and are not a sealed copy of the interpreter."""

from __future__ import annotations

from reconciler.lean import NamedTuple
from reconciler.linux.trampoline import make_trampoline
from reconciler.monitor.steps.context import Context


class MakeTrampoline(NamedTuple):
    """Make the program that is executed before the command, which cannot be made in its root."""

    def describe(self) -> str:
        return "make the program that executes the command"

    def execute(self, context: Context) -> None:
        context.trampoline = make_trampoline(context.status_fd)
