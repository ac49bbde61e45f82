"""Errors and warnings as runc writes them, for people and for conmon and podman.

text: time="2026-01-02T03:04:05Z" level=error msg="container does not exist"
json: {"level":"error","msg":"container does not exist","time":"2026-01-02T03:04:05Z"}
"""

from __future__ import annotations

import os
import sys
import time


class Log:
    """Where messages go: a file (`--log`), or standard error."""

    def __init__(self, path: str | None, *, is_json: bool, is_debug: bool) -> None:
        self._path = path
        self._is_json = is_json
        self.is_debug = is_debug

    def error(self, message: str) -> None:
        """Write an error to the log, and to standard error where that is not the log."""
        self._write("error", message)
        if self._path is not None:
            sys.stderr.write(_printable(message) + "\n")

    def warning(self, message: str) -> None:
        """Write a warning."""
        self._write("warning", message)

    def note(self, message: str) -> None:
        """Write what is for those who look closer: `--debug`, stack traces."""
        self._write("debug", message)

    def _write(self, level: str, message: str) -> None:
        import json  # costs 5 ms; only needed when something is told

        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self._is_json:
            entry = {"level": level, "msg": message, "time": now}
            line = json.dumps(entry, separators=(",", ":"))
        else:
            text = json.dumps(message, ensure_ascii=False)
            line = f'time="{now}" level={level} msg={_printable(text)}'
        if self._path is None:
            sys.stderr.write(line + "\n")
            return
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, f"{line}\n".encode())
        finally:
            os.close(fd)


def _printable(text: str) -> str:
    from reconciler.model.printable import printable  # only needed when something is told

    return printable(text)
