"""`reconciler events`: what was done to containers and what became of them, from the journal."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from reconciler.cli.arguments import duration_s
from reconciler.cli.instance import make_engine
from reconciler.cli.output import RED, emit, emit_bytes, styled, to_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

EXAMPLES = """\
  reconciler events
  reconciler events web --since 1h
  reconciler events -f --output json      # one JSON object a line"""

_POLL_S = 0.25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name and what to show."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="only of this container")
    parser.add_argument(
        "--since", metavar="DURATION", type=duration_s, help="only what is not older (10m, 2h)"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until interrupted")


def run(args: argparse.Namespace) -> int:
    """Print the events, oldest first. Raises: PermissionDenied, SystemError."""
    import time

    from reconciler.control.journal import JournalReader
    from reconciler.linux.clock import wall_s
    from reconciler.model.moment import format_time

    reader = JournalReader(make_engine(args).state_dir)
    since = "" if args.since is None else format_time(wall_s() - args.since)
    while True:
        _show(reader.read(), args, since)
        if not args.follow:
            reader.close()
            return 0
        time.sleep(_POLL_S)


def _show(events: Iterable[dict[str, Any]], args: argparse.Namespace, since: str) -> None:
    for event in events:
        if args.name not in (None, event["object"]) or event["time"] < since:
            continue
        if args.output == "json":
            emit(json.dumps(event))
        elif args.output == "yaml":
            emit("---\n" + to_yaml(event).rstrip())
        else:
            emit(_line(event))
    emit_bytes(b"", flush=True)


def _line(event: dict[str, Any]) -> str:
    if event["code"]:
        return f"{event['time']} " + styled(f"{event['message']} ({event['name']})", RED)
    cause = "" if event["cause"] in event["message"] else f" ({event['cause']})"
    return f"{event['time']} {event['message']}{cause}"
