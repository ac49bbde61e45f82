"""`delete`: remove a container that has stopped, with --force any."""

from __future__ import annotations

from reconciler.engine.container import Container
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.oci.hooks import run_poststop
from reconciler.oci.options import Values
from reconciler.oci.runtime import SCOPE_NOTE, Runtime, refuse
from reconciler.oci.shared_mounts import release_root


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Remove it. Raises: ContainerNotExists, ContainerNotStopped, StopTimeout."""
    container_id, is_forced = arguments[0], options["force"]
    try:
        container = runtime.load(container_id)
    except ReconcilerError as error:
        if not is_forced:
            raise
        if error.code is ErrorCode.ContainerNotExists:
            return 0
        runtime.engine.handle(container_id).destroy()
        return 0
    status = runtime.status(container)
    if status not in ("stopped", "created") and not is_forced:
        why = f"it is {status}; stop it first, or use --force"
        raise refuse(container_id, ErrorCode.ContainerNotStopped, "delete", why)
    remove(runtime, container)
    return 0


def remove(runtime: Runtime, container: Container) -> None:
    """Destroy it and run its poststop hooks. Raises: StopTimeout, SystemError."""
    container.destroy()
    release_root(container)
    if scope := container.annotations.get(SCOPE_NOTE):
        from reconciler.oci.systemd_scope import end_scope

        end_scope(scope)
    run_poststop(container, container.config.isolation.hooks.poststop, runtime.log)
