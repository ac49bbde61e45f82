"""`reconciler logs`: prints what a container has written, also after its end."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from reconciler.cli.arguments import count, duration_s
from reconciler.cli.instance import make_engine
from reconciler.cli.log_reader import LogFilter, LogLine, LogReader
from reconciler.cli.names import name_not_found
from reconciler.cli.output import emit_bytes, to_yaml
from reconciler.model.printable import printable

if TYPE_CHECKING:
    from reconciler.engine.engine import Engine

EXAMPLES = """\
  reconciler logs web
  reconciler logs web --tail 20 -f
  reconciler logs web --since 10m --stream stderr --timestamps
  reconciler logs web --output json       # one JSON object a line
  reconciler logs web --output yaml       # one YAML document a line of the log"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name and what to show."""
    parser.add_argument("name", metavar="NAME", help="the container")
    parser.add_argument("--tail", metavar="N", type=count, help="only the last N lines")
    parser.add_argument(
        "--since", metavar="DURATION", type=duration_s, help="only what is not older (10m, 2h)"
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on until the container is destroyed"
    )
    parser.add_argument("--timestamps", action="store_true", help="with the time of each line")
    parser.add_argument("--stream", choices=("stdout", "stderr"), help="only this one")


def run(args: argparse.Namespace) -> int:
    """Print the log. Raises: NameNotFound, LogsOff; PermissionDenied, SystemError."""
    from reconciler.errors import from_os_error

    engine = make_engine(args)
    directory = os.path.join(engine.state_dir, "logs", args.name)
    record = engine.store.directory(args.name)
    if "/" in args.name or not (os.path.isdir(directory) or os.path.isdir(record)):
        raise name_not_found(engine, args.name)
    _check_kept(engine, args.name)
    try:
        reader = LogReader(directory)
    except OSError as error:
        raise from_os_error(error, f"cannot read the log of {args.name}") from error
    printer = _Printer(args)
    wanted = LogFilter(args.stream, _since(args.since))
    printer.print(reader.read(wanted, args.tail))
    if args.follow:
        for lines in reader.follow(wanted, lambda: not os.path.isdir(record)):
            printer.print(lines)
    printer.end()
    reader.close()
    return 0


def _check_kept(engine: Engine, name: str) -> None:
    """Refuse for a container whose output is thrown away. Raises: LogsOff."""
    from reconciler.errors import ErrorCode, ReconcilerError

    try:
        logs = engine.store.read(name).config.logs
    except ReconcilerError:  # gone or damaged: what it wrote may be there all the same
        return
    if not logs.is_kept:
        raise ReconcilerError(
            ErrorCode.LogsOff,
            f"cannot show the logs of {name}: its spec has `logs: none`, so that its output is "
            "thrown away; remove that from its file and apply it to keep what it writes",
            container=name,
        )


class _Printer:
    """Writes lines as they were written, parts of a line joined again.

    On a terminal control characters but for colours are shown, not sent.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._form = args.output
        self._has_times = args.timestamps
        self._is_terminal = sys.stdout.isatty()
        self._open_stream: str | None = None  # whose line is not ended yet

    def print(self, lines: Iterable[LogLine]) -> None:
        """Write some lines and flush. Raises: OutputClosed, NoSpace, SystemError."""
        for line in lines:
            emit_bytes(self._text(line) if self._form == "table" else self._data(line))
        emit_bytes(b"", flush=True)

    def end(self) -> None:
        """End a line that is not ended yet."""
        if self._open_stream is not None:
            emit_bytes(b"\n")

    def _data(self, line: LogLine) -> bytes:
        if self._form == "yaml":
            return f"---\n{to_yaml(line.to_json())}\n".encode()
        return json.dumps(line.to_json()).encode() + b"\n"

    def _text(self, line: LogLine) -> bytes:
        is_continued = self._open_stream == line.stream
        begin = b"" if is_continued or self._open_stream is None else b"\n"
        head = f"{line.time} ".encode() if self._has_times and not is_continued else b""
        self._open_stream = line.stream if line.is_part else None
        text = _shown(line.text) if self._is_terminal else line.text
        return begin + head + text + (b"" if line.is_part else b"\n")


def _shown(text: bytes) -> bytes:
    """Return a line for a terminal; the carriage return of a line's end says nothing."""
    plain = text.decode(errors="surrogateescape").removesuffix("\r")
    return printable(plain, has_colours=True).encode(errors="surrogateescape")


def _since(age_s: float | None) -> str:
    """Return the time so long ago as the log writes it, which also sorts as text does."""
    if age_s is None:
        return ""
    from datetime import UTC, datetime

    from reconciler.linux.clock import wall_s

    then = datetime.fromtimestamp(max(0.0, wall_s() - age_s), UTC)
    return then.strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
