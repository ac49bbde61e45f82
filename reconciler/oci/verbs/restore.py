"""`restore`: refused, until CRIU is driven by this engine."""

from __future__ import annotations

from reconciler.oci.criu import refuse_criu
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Refuse it. Raises: NotSupported."""
    raise refuse_criu(runtime, "restore", arguments[0])
