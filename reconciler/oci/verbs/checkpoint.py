"""`checkpoint`: save a running container to disk, with CRIU."""

from __future__ import annotations

from reconciler.errors import ErrorCode
from reconciler.oci.criu.dump import save
from reconciler.oci.criu.options import check_options
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime, refuse
from reconciler.oci.verbs.delete import remove


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Save it; unless it is to go on it ends, and nothing but the checkpoint is left.

    Raises: ContainerNotExists, ContainerNotRunning, NotSupported, Usage, SystemError.
    """
    container = runtime.load(arguments[0])
    check_options(runtime, options, "checkpoint", container.id)
    status = runtime.status(container)
    if status not in ("running", "paused"):
        raise refuse(container.id, ErrorCode.ContainerNotRunning, "checkpoint", f"it is {status}")
    save(runtime, container, options)
    if not (options["leave-running"] or options["pre-dump"]):
        remove(runtime, container)
    return 0
