"""Puts right, or changes as the file now says, what can be changed while a container runs.

Called by execute.
"""

from __future__ import annotations

import os

from reconciler.control.isolation import wanted_parameters
from reconciler.control.ports import ContainerPort
from reconciler.control.process import mend_process
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.linux.inside import read_parameters
from reconciler.model.action import BaseAction, ChangeClass
from reconciler.model.config import Config, Resources
from reconciler.model.frozen import replace
from reconciler.model.record import Notes
from reconciler.model.spec import DesiredState
from reconciler.planning.isolation import is_same_value

_OF_INIT = ("oomScoreAdj", "rlimits.", "hostname", "scheduler", "ioPriority")
_OF_NAMESPACES = (
    *("domainname", "sysctl."),
    *("maskedPaths.", "readonlyPaths.", "rootfs.readonly"),
)


def mend(container: ContainerPort, action: BaseAction) -> None:
    """Apply the action's live changes to the init and the freezer of what runs.

    Raises: ContainerDestroyed, ContainerNotRunning, PermissionDenied, SystemError.
    """
    config, init = action.spec.config, container.record.init
    live = {one.field: one for one in action.changes if one.change_class is ChangeClass.LIVE}
    if init is not None and any(path.startswith(_OF_INIT) for path in live):
        mend_process(action.name, init, config, live)
    if "state" in live:
        if live["state"].desired == DesiredState.PAUSED:
            container.pause()
        else:
            container.resume()
    mounted = {f"mounts.{one.target}" for one in config.mounts}  # below are files that changed
    names = frozenset(path for path in live if path.startswith(_OF_NAMESPACES) or path in mounted)
    if names:
        container.restore(names)
        _check_parameters(container, config, names)


def _check_parameters(container: ContainerPort, config: Config, names: frozenset[str]) -> None:
    """Refuse what the kernel does not show after it was written: else it would be written forever.

    Raises: ConfigInvalid.
    """
    init = container.record.init
    if init is None or os.geteuid() != 0:
        return
    wanted = wanted_parameters(config)
    shown = read_parameters({init.pid: wanted}).get(init.pid, {})
    for name, text in shown.items():
        given = config.isolation.sysctl.get(wanted[name].removeprefix("sysctl."), text)
        if wanted[name] in names and not is_same_value(given, text):
            raise ReconcilerError(
                ErrorCode.ConfigInvalid,
                f"cannot keep {wanted[name]} of {container.id}: the kernel shows {text!r} after "
                f"{given!r} was written; give it as the kernel shows it",
                container=container.id,
                field=wanted[name],
            )


def set_limits(
    container: ContainerPort, wanted: Resources, fields: frozenset[str], notes: Notes
) -> None:
    """Change these limits and no others. One that cannot be had holds back its own kind alone.

    `notes` are annotations that are written with all of them, or not.

    Raises: ContainerDestroyed, LimitNotSupported, LimitNotApplied, SystemError.
    """
    try:
        container.set(wanted, fields, notes)
    except ReconcilerError as error:
        if error.code is ErrorCode.LimitNotApplied and error.field in fields:
            _set_others(container, wanted, fields, error)
        raise


def _set_others(
    container: ContainerPort, wanted: Resources, fields: frozenset[str], error: ReconcilerError
) -> None:
    kind = str(error.field).split(".")[1]
    others = frozenset(one for one in fields if one.split(".")[1] != kind)
    if not others:
        return
    kept = getattr(container.record.config.resources, kind)
    try:
        container.set(replace(wanted, **{kind: kept}), others)
    except ReconcilerError as second:
        error.add_note(f"and the other limits cannot be changed either: {second}")
