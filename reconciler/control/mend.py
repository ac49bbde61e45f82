"""Puts right, or changes as the file now says, what can be changed while a container runs.

Called by execute.
"""

from __future__ import annotations

from reconciler.control.ports import ContainerPort
from reconciler.control.process import mend_process
from reconciler.model.action import BaseAction, ChangeClass
from reconciler.model.spec import DesiredState

_OF_INIT = ("oomScoreAdj", "rlimits.", "hostname")


def mend(container: ContainerPort, action: BaseAction) -> None:
    """Apply the action's live changes to the limits, the init and the freezer of what runs.

    Raises: ContainerDestroyed, ContainerNotRunning, LimitNotSupported, LimitNotApplied,
    PermissionDenied, SystemError.
    """
    config, init = action.spec.config, container.record.init
    if any(change.field.startswith("resources.") for change in action.changes):
        container.set(config.resources)
    live = {one.field: one for one in action.changes if one.change_class is ChangeClass.LIVE}
    if init is not None and any(path.startswith(_OF_INIT) for path in live):
        mend_process(action.name, init, config, live)
    if "state" in live:
        if live["state"].desired == DesiredState.PAUSED:
            container.pause()
        else:
            container.resume()
