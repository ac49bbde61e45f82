"""`resume`: let a paused container go on."""

from __future__ import annotations

from reconciler.errors import ErrorCode
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime, refuse


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Thaw it. Raises: ContainerNotExists, ContainerNotRunning, SystemError."""
    container = runtime.load(arguments[0])
    status = runtime.status(container)
    if status != "paused":
        code = ErrorCode.ContainerNotRunning
        raise refuse(container.id, code, "resume", f"it is {status}, not paused")
    container.resume()
    return 0
