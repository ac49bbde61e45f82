"""`ps`: the processes of a container, by their pids on the host."""

from __future__ import annotations

import sys

from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import json
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime, check_format


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Print what ps(1) says of them, or their pids as JSON. Raises: ContainerNotExists, Usage."""
    container = runtime.load(arguments[0])
    pids = container.processes()
    words = arguments[1:]
    if check_format(options["format"]):
        sys.stdout.write(json.dumps(pids, separators=(",", ":")) + "\n")
        return 0
    lines = _run_ps(words or ["-ef"])
    column = _pid_column(lines[0])
    wanted = {str(pid) for pid in pids}
    chosen = [line for line in lines[1:] if line.split()[column : column + 1][0] in wanted]
    sys.stdout.write("\n".join([lines[0], *chosen]) + "\n")
    return 0


def _run_ps(words: list[str]) -> list[str]:
    import subprocess

    try:
        done = subprocess.run(["ps", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        message = "cannot run ps: it is not installed (Debian: procps); use --format json"
        raise ReconcilerError(ErrorCode.NotSupported, message) from error
    if done.returncode != 0 or not done.stdout:
        raise ReconcilerError(ErrorCode.Usage, f"cannot run ps: {done.stderr.strip()}")
    return [line for line in done.stdout.splitlines() if line.strip()]


def _pid_column(title: str) -> int:
    names = title.split()
    if "PID" not in names:
        message = "cannot find the container's processes: the ps options leave out the column PID"
        raise ReconcilerError(ErrorCode.Usage, message)
    return names.index("PID")
