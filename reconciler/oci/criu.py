"""Checkpoint and restore: what is missing for them on this host."""

from __future__ import annotations

import shutil

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.oci.runtime import Runtime, refuse


def refuse_criu(runtime: Runtime, operation: str, container_id: str) -> ReconcilerError:
    """Return the error that says what is missing."""
    if shutil.which(runtime.criu) is None:
        why = f"{runtime.criu} is not installed (Debian: apt-get install criu)"
    else:
        why = "this version of reconciler does not drive criu yet"
    return refuse(container_id, ErrorCode.NotSupported, operation, why)
