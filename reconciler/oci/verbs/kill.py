"""`kill`: a signal for the first process of a container, or for all."""

from __future__ import annotations

import os
import signal

from reconciler.engine.container import Container
from reconciler.errors import ErrorCode, ReconcilerError
from reconciler.lean import suppress
from reconciler.oci.options import Values
from reconciler.oci.runtime import Runtime, refuse


def run(runtime: Runtime, options: Values, arguments: list[str]) -> int:
    """Send it. Raises: ContainerNotExists, ContainerNotRunning, Usage."""
    container = runtime.load(arguments[0])
    number = parse_signal(arguments[1] if len(arguments) > 1 else "TERM")
    if options["all"]:
        _signal_all(runtime, container, number)
        return 0
    if runtime.status(container) not in ("created", "running", "paused"):
        raise refuse(container.id, ErrorCode.ContainerNotRunning, "signal", "it is not running")
    container.signal(number)
    return 0


def parse_signal(text: str) -> int:
    """Return the number of a signal given as 9, KILL, SIGKILL or RTMIN+1. Raises: Usage."""
    name = text.upper().removeprefix("SIG")
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    if name.isdecimal():
        number = int(name)
    else:
        found = signal.Signals.__members__.get(f"SIG{base}")
        is_sum = sign and base in ("RTMIN", "RTMAX") and offset.isdecimal()
        if found is None or (sign and not is_sum):
            raise _unknown(text)
        number = int(found) + (int(sign + offset) if is_sum else 0)
    if not 0 <= number < signal.NSIG:
        raise _unknown(text)
    return number


def _signal_all(runtime: Runtime, container: Container, number: int) -> None:
    for pid in container.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _unknown(text: str) -> ReconcilerError:
    message = f"unknown signal {text!r}: give a number or a name, such as TERM"
    return ReconcilerError(ErrorCode.Usage, message)
