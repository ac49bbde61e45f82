"""A container's init, from its launch plan to the Child that the loop watches.

Part of the monitor's loop.
"""

from __future__ import annotations

import os

from reconciler.lean import Any
from reconciler.monitor.children import Child
from reconciler.monitor.inits import kill_and_reap, make_run
from reconciler.monitor.launch import launch
from reconciler.monitor.steps import decode_steps
from reconciler.monitor.steps.launcher import AwaitGate, CloseOthers


def launch_child(plan: dict[str, Any], boot_id: str, streams: tuple[int, ...] = ()) -> Child:
    """Clone the init of a launch plan; its set-up is told at the Child's `status_fd`.

    With `streams` it waits at the first, the reading end of a pipe, before it does anything; the
    others are for steps that ask for them.

    Raises: OSError.
    """
    first = [CloseOthers(3, []), AwaitGate()] if streams else [CloseOthers(3, [])]
    launched = launch(
        [*first, *decode_steps(plan["steps"])],
        plan["cloneFlags"],
        plan["cgroupDir"],
        streams,
        joins=plan["joins"],
        id_maps=plan["idMaps"],
        host_steps=decode_steps(plan["hostSteps"]),
    )
    try:
        run = make_run(plan, launched.pid, boot_id)
        child = Child(plan["directory"], run, launched.pidfd)
    except OSError:
        os.close(launched.status_fd)
        kill_and_reap(launched.pid, launched.pidfd)
        os.close(launched.pidfd)
        raise
    child.status_fd = launched.status_fd
    return child
