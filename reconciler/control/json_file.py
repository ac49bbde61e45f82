"""Replaces a JSON file as a whole. Called by whoever owns one in the run or state directory."""

from __future__ import annotations

import contextlib
import json
import os


def replace_json(path: str, data: object) -> None:
    """Write a file for its owner alone, at once or not at all. Raises: OSError."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w") as stream:
            json.dump(data, stream)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
