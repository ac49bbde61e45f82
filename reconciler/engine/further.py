"""Launches a further process in a container that runs. Called by Container."""

from __future__ import annotations

import os

from reconciler.engine.failures import SetupFailed, about, not_running, translate_setup_failure
from reconciler.engine.run_state import read_status
from reconciler.engine.well_formed import check_command
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import TYPE_CHECKING, Sequence
from reconciler.model.config import Command
from reconciler.model.record import Record
from reconciler.model.state import Status

if TYPE_CHECKING:
    from reconciler.engine.engine import Engine
    from reconciler.engine.session import Session

_VERB = "execute a command in"


def launch_further(
    engine: Engine, record: Record, command: Command, streams: Sequence[int], *, lasts: bool
) -> Session:
    """Run a further process in a container; `lasts`: it outlives the session's close.

    Without `streams` its input is empty and its output discarded.

    Raises: ConfigInvalid, ContainerNotRunning, ContainerPaused; the errors of a set-up;
    MonitorUnavailable, MonitorLost; OSError.
    """
    wanted = len(streams) if streams or command.terminal is not None else 3
    check_command(record.id, command, wanted)
    status = read_status(engine.driver, record)
    if status in (Status.PAUSED, Status.PAUSING):
        message = f"cannot {_VERB} {record.id}: it is paused"
        raise ReconcilerError(
            ErrorCode.ContainerPaused, message, container=record.id, operation=_VERB
        )
    if status is not Status.RUNNING:
        raise not_running(record.id, _VERB)
    with about(record.id, _VERB):
        plan = engine.make_exec_plan(record, command)
    null = -1 if streams else os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        return engine.launcher.execute(plan, list(streams) or [null] * 3, lasts=lasts)
    except SetupFailed as failure:
        raise translate_setup_failure(failure, record, command) from failure
    finally:
        if null >= 0:
            os.close(null)
