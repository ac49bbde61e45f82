"""What a user does to a container by command, noted so that no pass undoes it.

Called by the command line. Each needs the container's own lock alone, which the engine takes: it
does not wait for a pass that is under way.
"""

from __future__ import annotations

from reconciler.control.journal import append_event, make_event
from reconciler.control.notes import (
    decode_paused,
    decode_spec,
    decode_suspend,
    encode_paused,
    encode_suspend,
)
from reconciler.control.ports import ContainerPort
from reconciler.errors import ReconcilerError
from reconciler.linux.clock import wall_s
from reconciler.model.spec import DesiredState, Suspend


def note(state_dir: str, verb: str, name: str, what: str) -> None:
    """Add to the journal what a user did to a container."""
    event = make_event(wall_s(), verb, name, cause="a user's command", message=f"{name}: {what}")
    append_event(state_dir, event)


def suspend(container: ContainerPort, how: Suspend) -> None:
    """Have passes do nothing to it until `unsuspend`, or the time is over.

    Raises: ContainerDestroyed, NoSpace, SystemError.
    """
    container.annotate(encode_suspend(how))


def unsuspend(container: ContainerPort) -> bool:
    """End a suspension by command; False when there is none (its spec may suspend it still).

    Raises: ContainerDestroyed, NoSpace, SystemError.
    """
    container.status()
    if decode_suspend(container.record.annotations) is None:
        return False
    container.annotate(encode_suspend(None))
    return True


def pause(container: ContainerPort, now: float) -> None:
    """Freeze it, having noted first that a user wants it so.

    Raises: ContainerDestroyed, ContainerNotRunning, NoSpace, SystemError.
    """
    container.annotate(encode_paused(now))
    try:
        container.pause()
    except ReconcilerError as error:
        try:
            container.annotate(encode_paused(None))
        except ReconcilerError as second:
            error.add_note(f"and the note of it cannot be removed: {second}")
        raise


def resume(container: ContainerPort) -> bool:
    """Thaw it and forget that it was paused by hand; False when its spec keeps it paused.

    Raises: ContainerDestroyed, ContainerNotRunning, NoSpace, SystemError.
    """
    container.status()
    record = container.record
    spec = decode_spec(record.id, record.annotations, record.config)
    is_kept = spec is not None and spec.state is DesiredState.PAUSED
    if not is_kept:
        container.resume()
    if decode_paused(record.annotations) is not None:
        container.annotate(encode_paused(None))
    return not is_kept
