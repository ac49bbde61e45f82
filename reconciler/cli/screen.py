"""A whole screen that is drawn again and again, and the keys that are pressed meanwhile.

Called by `top`. Whatever happens, the terminal is afterwards as it was before.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from typing import Any

from reconciler.cli.output import emit_bytes

_OPEN = b"\x1b[?1049h\x1b[?25l"  # the alternate screen, no cursor (xterm's control sequences)
_CLOSE = b"\x1b[?25h\x1b[?1049l"


class Screen:
    """The terminal on standard output; keys come from standard input where it is one too."""

    def __init__(self) -> None:
        self._before = termios.tcgetattr(0) if os.isatty(0) else None
        self._resized = os.pipe()
        self._handlers = {signal.SIGTERM: _end, signal.SIGWINCH: self._on_resize}
        self._handlers_before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Screen:
        for number, handler in self._handlers.items():
            self._handlers_before[number] = signal.signal(number, handler)
        if self._before is not None:
            tty.setcbreak(0, termios.TCSANOW)
        emit_bytes(_OPEN, flush=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        """Put the terminal right again; Ctrl-C is as good an end as any."""
        if self._before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self._before)
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        for fd in self._resized:
            os.close(fd)
        emit_bytes(_CLOSE, flush=True)
        return kind is KeyboardInterrupt

    def draw(self, lines: list[str]) -> None:
        """Show the lines, as many as there is room for."""
        rows = os.get_terminal_size(sys.stdout.fileno()).lines or 24
        if len(lines) > rows:
            lines = [*lines[: rows - 1], f"... and {len(lines) - rows + 1} more lines"]
        text = "\x1b[K\r\n".join(lines)
        emit_bytes(f"\x1b[H{text}\x1b[K\x1b[J".encode(), flush=True)

    def wait_key(self, timeout_s: float) -> str:
        """Return the key that is pressed in this time; none when time is over or the size new."""
        sources = [self._resized[0], *([0] if self._before is not None else [])]
        ready, _, _ = select.select(sources, [], [], timeout_s)
        if self._resized[0] in ready:
            os.read(self._resized[0], 4096)
        if 0 not in ready:
            return ""
        return os.read(0, 1).decode(errors="replace") or "q"  # the terminal is gone

    def _on_resize(self, *_: object) -> None:
        os.write(self._resized[1], b"x")


def _end(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)
