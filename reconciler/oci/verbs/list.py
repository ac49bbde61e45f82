"""`list`: the containers below the root."""

from __future__ import annotations

import sys

from reconciler.lean import json
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime, check_format, state_of

_COLUMNS = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
_FIELDS = ("id", "pid", "status", "bundle", "created", "owner")


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Print a table, JSON or ids. Raises: Usage, SystemError."""
    is_json = check_format(options["format"])
    if options["quiet"]:
        sys.stdout.write("".join(f"{one}\n" for one in runtime.engine.ids()))
        return 0
    states = [state_of(one, runtime.status(one)) for one in runtime.engine.list()]
    for error in runtime.engine.list_corrupt():
        runtime.log.warning(str(error))
    if is_json:
        sys.stdout.write(json.dumps(states, separators=(",", ":")) + "\n")
        return 0
    rows = [_COLUMNS, *(tuple(str(state[name]) for name in _FIELDS) for state in states)]
    widths = [max(12, *(len(row[column]) + 3 for row in rows)) for column in range(len(_COLUMNS))]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        sys.stdout.write("".join(cells).rstrip() + "\n")
    return 0
