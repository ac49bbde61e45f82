"""The run file `run.json` in a container's record directory, the monitor's alone to write.

    {"pid", "startTicks", "bootId", "startedAt", "cgroups",
     "logStreams": ["stdout", "stderr"] or, where no output is kept, [], "logDir", "logSize",
     "logFiles",
     "oomKills", "logLost": {"bytes", "error"} | null,
     "exit": {"code", "signal", "oom", "at", "memory": {"usage_bytes", "peak_bytes",
              "limit_bytes", "oom_kills"} | null} | null,
     "lastExit": (the run before's) | null}

`oomKills` is the cgroup's count of kills that init has outlived; `memory` is of an OOM, and not
there in files of older versions.

Read by the engine's store too, hence light.
"""

from __future__ import annotations

import os

from reconciler.lean import Any, json
from reconciler.linux.proc import read_file

RUN_FILE = "run.json"


def read_run(directory: str) -> dict[str, Any] | None:
    """Return a container's run file; None when it has none or it cannot be understood."""
    return parse_run(read_run_text(directory))


def read_run_text(directory: str) -> bytes:
    """Return the content of a container's run file, nothing when it has none. Raises: OSError."""
    try:
        return read_file(os.path.join(directory, RUN_FILE))
    except (FileNotFoundError, NotADirectoryError):
        return b""


def parse_run(text: bytes) -> dict[str, Any] | None:
    """Return what a run file says, None when that cannot be understood."""
    try:
        run = json.loads(text) if text else None
    except ValueError:
        return None
    return run if isinstance(run, dict) else None


def temporary_of(path: str) -> str:
    """Return where `write_json` writes first: there is one only where it was cut short."""
    return path + ".tmp"


def write_json(path: str, data: dict[str, Any]) -> bytes:
    """Replace a file's content at once, and return it.

    Needs no fsync, as a run directory ends with the boot.

    Raises: OSError.
    """
    temporary = temporary_of(path)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    content = json.dumps(data).encode()
    left = memoryview(content)
    try:
        try:
            while left:  # a disk that is nearly full takes a part first
                left = left[os.write(fd, left) :]
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
    return content
