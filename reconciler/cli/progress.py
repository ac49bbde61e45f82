"""How far long work has come: one line on standard error, drawn again and again.

Made by `instance` for `apply` and `destroy`, on a terminal and for people alone. It is shown once
the work has lasted a second; afterwards nothing of it is left. A log line takes its place.
"""

from __future__ import annotations

import logging
import os
import sys
import threading

from reconciler.control.logs import ROOT, get_logger
from reconciler.control.progress import Progress
from reconciler.model.action import Action

_DELAY_S = 1.0
_REDRAW_S = 0.2
_CLEAR = "\r\x1b[K"  # xterm's control sequences


class TerminalProgress(Progress):
    """The line; `DONE/TOTAL VERB NAME ...` names what has been under way for the longest."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._redraw, daemon=True)
        self._running: dict[str, str] = {}
        self._total = self._done = 0
        self._text = ""
        self._shown = ""

    def __enter__(self) -> TerminalProgress:
        for handler in self._handlers():
            handler.addFilter(self._make_room)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        for handler in self._handlers():
            handler.removeFilter(self._make_room)
        self._draw("")

    def expect(self, count: int) -> None:
        """Count more actions in."""
        with self._lock:
            self._total += count

    def begin(self, action: Action) -> None:
        """Show the action as under way."""
        with self._lock:
            self._running[action.name] = action.verb

    def end(self, action: Action) -> None:
        """Count the action as done."""
        with self._lock:
            self._running.pop(action.name, None)
            self._done += 1

    def say(self, text: str) -> None:
        """Show the text while nothing is under way."""
        with self._lock:
            self._text = text

    @staticmethod
    def _handlers() -> list[logging.Handler]:
        get_logger("control")  # the first to ask has them made
        return logging.getLogger(ROOT).handlers

    def _redraw(self) -> None:
        delay_s = _DELAY_S
        while not self._is_over.wait(delay_s):
            self._draw(self._line())
            delay_s = _REDRAW_S

    def _line(self) -> str:
        with self._lock:
            count = f"{self._done}/{self._total}"
            if not self._running:
                return f"{count} {self._text}" if self._text else ""
            name, verb = next(iter(self._running.items()))
            return f"{count} {verb} {name} ..."

    def _draw(self, line: str) -> None:
        try:
            with self._lock:
                if line != self._shown:
                    columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
                    sys.stderr.write(_CLEAR + line[: columns - 1])
                    sys.stderr.flush()
                    self._shown = line
        except OSError:  # the terminal is gone, and with it who would read this
            self._is_over.set()

    def _make_room(self, _: logging.LogRecord) -> bool:
        self._draw("")
        return True
