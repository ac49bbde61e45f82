"""`start`: let the process of a created container run its command."""

from __future__ import annotations

from reconciler.engine.container import Container
from reconciler.engine.direct import release
from reconciler.engine.failures import SetupFailed, translate_setup_failure
from reconciler.errors import ErrorCode, ReconcilerError, from_os_error
from reconciler.oci.hooks import run_hooks
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime, hook_state, refuse


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Start it; where a hook fails nothing is left of it (runtime.md, Lifecycle, steps 7 and 9).

    Raises: ContainerNotExists, ContainerNotStopped, ContainerNotRunning, HookFailed.
    """
    container = runtime.load(arguments[0])
    try:
        _start(runtime, container)
    except ReconcilerError as error:
        if error.code is ErrorCode.HookFailed:
            from reconciler.oci.verbs.delete import remove

            remove(runtime, container)
        raise
    return 0


def _start(runtime: Runtime, container: Container) -> None:
    with runtime.engine.store.lock(container.id):
        status = runtime.status(container)
        if status != "created":
            raise _refuse(container.id, status)
        if container.config.command:
            _release(runtime, container)
    if not container.config.command:
        container.stop(9, 0)
        why = "its config.json has no process to run"
        raise refuse(container.id, ErrorCode.ConfigInvalid, "start", why)
    run_poststart(runtime, container)


def run_poststart(runtime: Runtime, container: Container) -> None:
    """Run the poststart hooks; one that fails ends the container. Raises: HookFailed."""
    hooks, init = container.config.isolation.hooks, container.record.init
    if not hooks.poststart or init is None:
        return
    try:
        state = hook_state(container, "running", init.pid)
        run_hooks(container.id, "poststart", hooks.poststart, state)
    except ReconcilerError:
        container.stop(9, 0)
        raise


def _release(runtime: Runtime, container: Container) -> None:
    try:
        failure = release(runtime.directory(container))
    except OSError as error:
        raise from_os_error(error, f"cannot start {container.id}") from error
    if failure is not None:
        failed = SetupFailed(failure)
        raise translate_setup_failure(failed, container.record) from failed


def _refuse(container_id: str, status: str) -> ReconcilerError:
    if status == "stopped":
        why = "its process has ended; delete it and create it anew"
        return refuse(container_id, ErrorCode.ContainerNotRunning, "start", why)
    return refuse(container_id, ErrorCode.ContainerNotStopped, "start", f"it is {status}")
