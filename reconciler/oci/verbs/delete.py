"""`delete`: remove a container that has stopped or never started, with --force any.

The specification has it refuse one that is created and not started. Every runtime there is removes
it, so callers count on it, and so do we.
"""

from __future__ import annotations

from reconciler.engine.container import Container
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.oci.hooks import run_poststop
from reconciler.oci.options import Values
from reconciler.oci.runtime import SCOPE_NOTE, Runtime, refuse
from reconciler.oci.shared_mounts import release_root


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Remove it.

    Raises: InvalidIdFormat, ContainerNotExists, ContainerNotStopped, StopTimeout, Usage.
    """
    if not options["regex"]:
        _delete(runtime, arguments[0], is_forced=options["force"])
        return 0
    failures: list[Exception] = []
    for container_id in _matching(runtime, arguments[0]):
        try:
            _delete(runtime, container_id, is_forced=options["force"])
        except (ReconcilerError, OSError) as error:  # the others are removed all the same
            failures.append(error)
    for further in failures[1:]:
        runtime.log.warning(str(further))
    if failures:
        raise failures[0]
    return 0


def _delete(runtime: Runtime, container_id: str, *, is_forced: bool) -> None:
    try:
        container = runtime.load(container_id)
    except ReconcilerError as error:
        if not is_forced or error.code is ErrorCode.InvalidIdFormat:
            raise
        if error.code is not ErrorCode.ContainerNotExists:
            runtime.engine.handle(container_id).destroy()
        return
    status = runtime.status(container)
    if status not in ("stopped", "created") and not is_forced:
        why = f"it is {status}; stop it first, or use --force"
        raise refuse(container_id, ErrorCode.ContainerNotStopped, "delete", why)
    remove(runtime, container)


def _matching(runtime: Runtime, expression: str) -> list[str]:
    """Return the ids in which an expression has a match. Raises: Usage."""
    import re

    try:
        pattern = re.compile(expression)
    except re.error as error:
        message = f"--regex: {expression!r} is no regular expression: {error}"
        raise ReconcilerError(ErrorCode.Usage, message) from error
    return [one for one in runtime.engine.ids() if pattern.search(one)]


def remove(runtime: Runtime, container: Container) -> None:
    """Destroy it and run its poststop hooks. Raises: StopTimeout, SystemError."""
    container.destroy()
    release_root(container)
    if scope := container.annotations.get(SCOPE_NOTE):
        from reconciler.oci.systemd_scope import end_scope

        end_scope(scope)
    run_poststop(container, container.config.isolation.hooks.poststop, runtime.log)
