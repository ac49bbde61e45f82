"""`restore`: bring back a container from a checkpoint, with CRIU."""

from __future__ import annotations

from reconciler.oci.criu.options import check_options
from reconciler.oci.criu.restore import RestoringLauncher
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime
from reconciler.oci.verbs.run import run as run_bundle


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Restore it; return its exit code, with --detach 0.

    Raises: as `run`; NotSupported, Usage, ConfigInvalid, SystemError for what criu cannot do.
    """
    check_options(runtime, options, "restore", arguments[0])
    runtime.launcher = RestoringLauncher(runtime, options)
    return run_bundle(runtime, options | {"keep": False}, arguments)
