"""`pause`: freeze all processes of a container, and return once they are."""

from __future__ import annotations

import time

from reconciler.errors import ErrorCode
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime, refuse

_PATIENCE_S = 10.0
_POLL_S = 0.001


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Freeze it. Raises: ContainerNotExists, ContainerNotRunning, ContainerPaused, SystemError."""
    container = runtime.load(arguments[0])
    status = runtime.status(container)
    if status == "paused":
        raise refuse(container.id, ErrorCode.ContainerPaused, "pause", "it is paused")
    if status not in ("created", "running"):
        raise refuse(container.id, ErrorCode.ContainerNotRunning, "pause", f"it is {status}")
    container.pause()
    deadline = time.monotonic() + _PATIENCE_S
    while runtime.engine.driver.freezer_state(container.record.cgroups) != "frozen":
        if time.monotonic() > deadline:
            container.resume()
            why = f"its processes did not freeze within {_PATIENCE_S:g} s"
            raise refuse(container.id, ErrorCode.SystemError, "pause", why)
        time.sleep(_POLL_S)
    return 0
