"""`state`: what a container is doing, as JSON."""

from __future__ import annotations

import sys

from reconciler.lean import json
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime, state_of


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Print the state. Raises: ContainerNotExists, RecordCorrupt."""
    container = runtime.load(arguments[0])
    state = state_of(container, runtime.status(container))
    sys.stdout.write(json.dumps(state, indent=2, ensure_ascii=False) + "\n")
    return 0
