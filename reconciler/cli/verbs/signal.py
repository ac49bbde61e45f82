"""`reconciler signal`: sends a signal to the init of a container."""

from __future__ import annotations

import argparse
import signal
from typing import TYPE_CHECKING

from reconciler.cli.instance import make_engine
from reconciler.cli.names import load_container
from reconciler.cli.output import emit, emit_data

if TYPE_CHECKING:
    from reconciler.model.record import Record

EXAMPLES = """\
  reconciler signal web HUP         # the usual way to say: read your configuration again
  reconciler signal web SIGUSR1
  reconciler signal web 15

The first process of a container has no default actions (pid_namespaces(7)): a signal that it
does not handle is dropped by the kernel, all but KILL and STOP. What a signal ends is started
again as its restart policy says; `state: stopped` in its file stops it for good."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name and the signal."""
    parser.add_argument("name", metavar="NAME", help="the container")
    parser.add_argument(
        "signal", metavar="SIGNAL", type=_signal, help="a name, with or without SIG, or a number"
    )


def run(args: argparse.Namespace) -> int:
    """Send it. Raises: NameNotFound, ContainerNotRunning, RecordCorrupt, SystemError."""
    from reconciler.control import by_hand

    engine = make_engine(args)
    container = load_container(engine, args.name)
    is_dropped = not _has_effect(container.record, args.signal)  # asked while it is sure to live
    container.signal(args.signal)
    name = _spell(args.signal)
    by_hand.note(engine.state_dir, "signal", args.name, f"sent {name}")
    if args.output != "table":
        sent = {"name": args.name, "signal": args.signal, "signalName": name}
        emit_data(sent | {"dropped": is_dropped}, args.output)
    else:
        note = ": it has no handler for it, so the kernel drops it" if is_dropped else ""
        emit(f"sent {name} to {args.name}{note}")
    return 0


def _has_effect(record: Record, number: int) -> bool:
    """Tell whether the kernel passes the signal on; KILL and STOP always come from outside."""
    from reconciler.linux.signals import can_reach_init

    is_forced = number in (signal.SIGKILL, signal.SIGSTOP)
    return is_forced or (record.init is not None and can_reach_init(record.init.pid, number))


def _signal(text: str) -> int:
    """Return the number of a signal given as HUP, SIGHUP, sighup or 1."""
    if text.isascii() and text.isdigit():
        if 1 <= int(text) < signal.NSIG:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text} is not a signal from 1 to {signal.NSIG - 1}")
    name = "SIG" + text.upper().removeprefix("SIG")
    if name in signal.Signals.__members__:
        return signal.Signals[name].value
    from difflib import get_close_matches

    near = get_close_matches(name, signal.Signals.__members__, n=1)
    hint = f"; did you mean {near[0].removeprefix('SIG')}?" if near else ""
    raise argparse.ArgumentTypeError(f"{text!r} is not a signal{hint}")


def _spell(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
