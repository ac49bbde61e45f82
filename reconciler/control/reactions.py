"""What is done in a container that runs: reactions to changed files, and the command before a stop.

Called by execute.
"""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Sequence

from reconciler.control.commands import run_command
from reconciler.control.logs import log_failure
from reconciler.control.ports import ContainerPort
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux.signals import can_reach_init
from reconciler.model.spec import Reaction, ReactionKind, Stop
from reconciler.model.state import Status

REACTION_TIMEOUT_S = 10.0
_END_PATIENCE_S = 0.1


def react(container: ContainerPort, reactions: Sequence[Reaction]) -> None:
    """Carry out what changed files ask for.

    Raises: ReactionFailed; ContainerNotRunning, ContainerPaused, CommandNotFound and what else
    keeps a command from being run.
    """
    for reaction in reactions:
        if reaction.kind is ReactionKind.SIGNAL:
            _signal(container, f"SIG{reaction.signal}")
        elif reaction.kind is ReactionKind.EXEC:
            _execute(container, reaction.command)


def end(container: ContainerPort, stop: Stop) -> None:
    """Stop a container, with the command before it; that takes its time from the grace.

    Raises: what `Container.stop` raises. What goes wrong with the command is logged.
    """
    begun = time.monotonic_ns()
    command = stop.pre_stop if stop.grace_ns > 0 else None
    if command is not None and container.status() is Status.RUNNING:
        try:
            _run_pre_stop(container, command, stop.grace_ns)
        except ReconcilerError as error:
            log_failure(error)
    left_ns = stop.grace_ns
    if command is not None:  # the signal is sent in any case
        left_ns = max(1, left_ns - (time.monotonic_ns() - begun))
    container.stop(signal.Signals[f"SIG{stop.signal}"], left_ns)


def _signal(container: ContainerPort, name: str) -> None:
    number = signal.Signals[name]
    init = container.record.init
    is_forced = number in (signal.SIGKILL, signal.SIGSTOP)
    if init is not None and not is_forced and not can_reach_init(init.pid, number):
        why = f"its command does not handle {name}, so that the kernel drops it"
        raise _failed(container, why, f"signal {name}")
    container.signal(number)


def _execute(container: ContainerPort, command: tuple[str, ...]) -> None:
    result = run_command(container, command, REACTION_TIMEOUT_S)
    if not result.is_success():
        why = f"{shlex.join(command)}: {result.describe()}"
        raise _failed(container, why, "exec")


def _failed(container: ContainerPort, why: str, operation: str) -> ReconcilerError:
    return ReconcilerError(
        ErrorCode.ReactionFailed,
        f"cannot react to a changed file in {container.id}: {why}",
        container=container.id,
        operation=operation,
    )


def _run_pre_stop(container: ContainerPort, command: tuple[str, ...], grace_ns: int) -> None:
    """Run it, and be content if it ends the container. Raises: PreStopFailed; as `wait`."""
    try:
        result = run_command(container, command, grace_ns / 1e9)
        why = None if result.is_success() else result.describe()
    except ReconcilerError as error:
        why = str(error)
    # The end of the init kills the command too, which is told a moment earlier.
    if why is not None and container.wait(_END_PATIENCE_S) is None:
        raise ReconcilerError(
            ErrorCode.PreStopFailed,
            f"cannot run {shlex.join(command)} before the stop of {container.id}: {why}",
            container=container.id,
            operation="stop",
        )
