"""Checkpoint and restore: what is missing for them on this host."""

from __future__ import annotations

import shutil
import subprocess

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.oci.runtime import Runtime, refuse


def refuse_criu(runtime: Runtime, operation: str, container_id: str) -> ReconcilerError:
    """Return the error that says what is missing."""
    return refuse(container_id, ErrorCode.NotSupported, operation, _find_reason(runtime.criu))


def _find_reason(criu: str) -> str:
    if shutil.which(criu) is None:
        return f"{criu} is not installed (Debian: apt-get install criu)"
    checked = subprocess.run([criu, "check"], capture_output=True, text=True, check=False)
    if checked.returncode != 0:
        said = (checked.stdout + checked.stderr).strip().splitlines()
        return f"{criu} does not work on this kernel: {said[0] if said else 'criu check fails'}"
    return "this version of reconciler does not drive criu yet"
