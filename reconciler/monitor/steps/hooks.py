"""The step of an init whose start the engine attends to; `engine/hooks` shows the protocol."""

from __future__ import annotations

import os

from reconciler.lean import NamedTuple, json
from reconciler.monitor.steps.context import Context
from reconciler.monitor.steps.launcher import RunHooks

_STATE_MAX = 2**20


class AwaitEngine(NamedTuple):
    """Tell the engine our pid over the socket `context.streams[-1]`; take over the state for hooks.

    It is read from the host's procfs, before the pivot.
    """

    def describe(self) -> str:
        return "wait for the hooks that run before the start"

    def execute(self, context: Context) -> None:
        fd = context.streams[-1]
        os.write(fd, json.dumps({"pid": int(os.readlink("/proc/self"))}).encode())
        said = b""
        while chunk := os.read(fd, _STATE_MAX):
            said += chunk
        os.close(fd)
        if not said:
            raise BrokenPipeError(32, "one of them failed, or who ran them has ended")
        context.state = json.loads(said)


STEPS = (AwaitEngine, RunHooks)
