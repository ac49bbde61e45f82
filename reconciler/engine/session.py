"""A further process in a container, whoever launched it: by the monitor, or as our own child."""

from __future__ import annotations

from reconciler.lean import Protocol
from reconciler.model.state import ExitStatus


class Session(Protocol):
    """Await its end, which `fileno()` tells by becoming readable; let go of it by `close()`."""

    pid: int

    def fileno(self) -> int: ...
    def wait(self, timeout_s: float | None = None) -> ExitStatus | None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Session: ...
    def __exit__(self, *_: object) -> None: ...
